// Makes frames of what the microphone gives, at the rate of the detector.

const LOBES = 8; // of the filter, on each side
const PASSED = 0.92; // of the band below half the lower rate
const FINE = 256; // steps of the table for each lobe

const TABLE = Float32Array.from({ length: LOBES * FINE + 2 }, (_, i) => {
  const d = i / FINE, x = Math.PI * PASSED * d;
  if (d >= LOBES) return 0;
  return PASSED * (x ? Math.sin(x) / x : 1) * Math.cos((Math.PI * d) / (2 * LOBES)) ** 2;
});

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate, samples } }) {
    super();
    this.frame = new Float32Array(samples);
    this.filled = 0;
    this.step = sampleRate / rate; // samples of the browser for each of ours
    this.wide = Math.max(1, this.step); // of a lobe
    this.heard = new Float32Array(Math.ceil(LOBES * this.wide)); // what the next samples are made of
    this.at = this.heard.length; // where the next one is
  }

  process([[input]]) {
    if (input) (this.step === 1 ? input : this.resampled(input)).forEach(this.take, this);
    return true;
  }

  take(sample) {
    this.frame[this.filled++] = sample;
    if (this.filled < this.frame.length) return;
    this.port.postMessage({ samples: this.frame, time: Date.now() });
    this.filled = 0;
  }

  resampled(input) {
    const heard = new Float32Array(this.heard.length + input.length);
    heard.set(this.heard);
    heard.set(input, this.heard.length);
    const reach = LOBES * this.wide, made = [];
    for (; this.at + reach < heard.length; this.at += this.step) {
      let sum = 0;
      for (let i = Math.ceil(this.at - reach); i <= this.at + reach; i++)
        sum += heard[i] * TABLE[Math.round((Math.abs(i - this.at) / this.wide) * FINE)];
      made.push(sum / this.wide);
    }
    const done = Math.floor(this.at - reach);
    this.heard = heard.slice(done);
    this.at -= done;
    return made;
  }
}

registerProcessor("capture", Capture);
