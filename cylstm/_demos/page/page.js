// Sends the microphone in frames, and draws what comes back for each of them.

const [button, label, status, chart, ...numbers] = ["button", "label", "status", "chart", "speech",
  "latency", "computing"].map((id) => document.getElementById(id));
const pen = chart.getContext("2d");
const { rate, samples, threshold } = document.querySelector("main").dataset;
const SECONDS = samples / rate; // of a frame
const PARTS = 4; // of a frame, drawn from their least to their greatest sample
const KEPT = 20000; // points: ten minutes
const UNANSWERED = 300; // frames: ten seconds

// For other scripts, what was drawn: {time, speech, speaking, latency, microseconds} of each frame
const points = (window.points = []);
let session = null;

async function start() {
  const mine = (session = { waiting: [], count: 0 });
  button.textContent = "Stop listening";
  say("Waiting for the microphone...");
  try {
    await connect(mine);
    if (session === mine) say(`Listening at ${mine.context.sampleRate / 1000} kHz.`);
  } catch (error) {
    if (session === mine) stop(reason(error));
  }
  if (session !== mine) release(mine); // stopped in the meantime
}

async function connect(mine) {
  if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  mine.sound = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...plain } });
  if (session !== mine) return;
  mine.sound.getTracks()[0].onended = () => session === mine && stop("The microphone is gone.");
  const source = openContext(mine);
  await openSocket(mine);
  await mine.context.audioWorklet.addModule("capture.js");
  points.length = 0;
  const processorOptions = { rate: Number(rate), samples: Number(samples) };
  const node = new AudioWorkletNode(mine.context, "capture", { processorOptions });
  node.port.onmessage = ({ data }) => session === mine && send(mine, data);
  source.connect(node).connect(mine.context.destination); // where nothing is heard of it
  await mine.context.resume();
}

function openContext(mine) {
  const open = (options) => (mine.context = new AudioContext(options)).createMediaStreamSource(mine.sound);
  try {
    return open({ sampleRate: rate });
  } catch { // so capture.js resamples
    mine.context?.close();
    return open();
  }
}

function openSocket(mine) {
  mine.socket = new WebSocket(location.href.replace(/^http(s?:\/\/[^/]+).*/, "ws$1/frames"));
  mine.socket.onmessage = ({ data }) => session === mine && receive(mine, JSON.parse(data));
  return new Promise((resolve, reject) => {
    mine.socket.onopen = resolve;
    mine.socket.onclose = (event) => {
      reject(event);
      if (session === mine) stop(reason(event));
    };
  });
}

function stop(said, wrong = true) {
  release(session);
  session = null;
  button.textContent = "Start listening";
  label.textContent = "";
  say(said, wrong);
}

function release({ sound, context, socket }) {
  sound?.getTracks().forEach((track) => track.stop());
  context?.close().catch(() => {}); // it was closed
  socket?.close();
}

function reason(error) {
  const said = {
    NotAllowedError: "The microphone is not allowed. Allow it beside the address, and start again.",
    NotFoundError: "There is no microphone.",
    NotReadableError: "The microphone cannot be opened. Maybe another program has it.",
    SecurityError: `Only pages of this machine get the microphone: open http://localhost:${location.port}`,
    1001: "The program has ended. Run cylstm demo listen again, and start again.",
    1006: "The connection is lost. If cylstm demo listen still runs, start again.",
  };
  return said[error.name || error.code] || error.reason || String(error);
}

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

function send(mine, { samples, time }) {
  const loudest = [], size = samples.length / PARTS;
  for (let i = 0; i < samples.length; i += size) {
    const part = samples.subarray(i, i + size);
    loudest.push([Math.min(...part), Math.max(...part)]);
  }
  mine.waiting.push({ time: mine.count++ * SECONDS, sent: time, loudest });
  mine.socket.send(samples);
  if (mine.waiting.length > UNANSWERED) stop("The program does not answer.");
}

function receive(mine, answer) {
  // Behind other tabs nothing is drawn, until the page is seen again.
  points.push({ ...mine.waiting.shift(), ...answer, seen: !document.hidden });
  points.splice(0, points.length - KEPT);
  mine.drawing ||= requestAnimationFrame(() => { mine.drawing = 0; draw(); });
}

function draw() {
  const scale = devicePixelRatio, width = chart.clientWidth, height = chart.clientHeight;
  chart.width = width * scale; // which clears it
  chart.height = height * scale;
  pen.scale(scale, scale);
  pen.font = "13px system-ui, sans-serif";
  const left = 34, foot = height - 24, top = height / 2 + 12;
  const count = Math.round(Math.max(4, Math.min(12, width / 75)) / SECONDS);
  const visible = points.slice(-count), first = visible[0]?.time ?? 0;
  const perSecond = (width - left) / (count * SECONDS);
  const x = (time) => left + (time - first) * perSecond;
  const y = (share) => foot - share * (foot - top);

  pen.fillStyle = color("speaking");
  for (let i = 0, end; i < visible.length; i = end + 1) {
    for (end = i; visible[end]?.speaking; ) end++;
    pen.fillRect(x(visible[i].time), 22, (end - i) * SECONDS * perSecond, foot - 22);
  }
  axes({ left, width, first, x, y, foot, top });
  wave(visible, x, (top - 6) / 2, (top - 50) / 2);
  curve(visible.map(({ time, speech }) => [x(time + SECONDS), y(speech)]), "speech", 2);
  told();
}

function axes({ left, width, first, x, y, foot, top }) {
  text("sound", left, 14, "ink");
  text("probability of speech", left, top - 10, "ink");
  text(`threshold ${threshold}`, width, top - 10, "line", "right");
  for (const share of [0, 0.5, 1]) {
    curve([[left, y(share)], [width, y(share)]], "grid");
    text(share, left - 6, y(share) + 4, "pale", "right");
  }
  for (let second = Math.ceil(first); x(second) < width - 12; second++) {
    curve([[x(second), foot], [x(second), foot + 5]], "grid");
    text(`${second} s`, x(second), foot + 19, "pale", "center");
  }
  pen.setLineDash([6, 4]);
  curve([[left, y(threshold)], [width, y(threshold)]], "line");
  pen.setLineDash([]);
}

function wave(visible, x, middle, room) {
  const loudest = visible.flatMap((point) => point.loudest);
  const most = Math.max(0.02, ...loudest.flat().map(Math.abs));
  const side = (which) => loudest.map((part, i) =>
    [x(visible[0].time + (i / PARTS) * SECONDS), middle - (part[which] / most) * room]);
  curve([...side(1), ...side(0).reverse()], "sound");
  pen.fillStyle = color("sound");
  pen.fill();
}

function curve(places, name, wide = 1) {
  pen.strokeStyle = color(name);
  pen.lineWidth = wide;
  pen.lineJoin = "round";
  pen.beginPath();
  for (const place of places) pen.lineTo(...place);
  pen.stroke();
}

function text(said, x, y, name, align = "left") {
  pen.fillStyle = color(name);
  pen.textAlign = align;
  pen.fillText(said, x, y);
}

function color(name) {
  return getComputedStyle(chart).getPropertyValue(`--${name}`);
}

function told() {
  const now = Date.now(), last = points.at(-1);
  for (let i = points.length; points[--i]?.latency === undefined && i >= 0; )
    points[i].latency = points[i].seen ? now - points[i].sent : null;
  if (!session || !last) return;
  label.textContent = last.speaking ? "speech" : "silence";
  label.classList.toggle("speaking", last.speaking);
  const recent = points.slice(-100).map((point) => point.latency).sort((a, b) => a - b);
  const [speech, latency, computing] = numbers;
  speech.textContent = last.speech.toFixed(2);
  latency.textContent = `${recent[recent.length >> 1] ?? "-"} ms`;
  computing.textContent = `${(last.microseconds / 1000).toFixed(2)} ms`;
}

button.onclick = () => (session ? stop("Stopped.", false) : start());
new ResizeObserver(draw).observe(chart);
matchMedia("(prefers-color-scheme: dark)").onchange = draw;
