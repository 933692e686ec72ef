"""Find the speech in a recording, in blocks or frame by frame as it would come from a microphone.

    cylstm demo vad recording.wav
    cylstm demo vad recording.wav --stream --picture speech.png

The detector of Silero VAD 6.2.3 (MIT), whose weights come out of its package once, and are read
without PyTorch; see `fetch_weights.py`. Every 32 ms, it says how likely someone speaks: a spectrum
by convolution, four convolutions over it, an LSTM of 128 that remembers what came before, and a
dense layer. Speech begins where that is above the threshold, and ends where it stays below the
threshold less 0.15 for a tenth of a second.

In blocks and frame by frame the probabilities are the same, to the last bit.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cylstm._demos._files import check_picture, save_picture
from cylstm._demos.fetch_weights import fetch
from cylstm._demos.who_speaks import RATE, read
from cylstm._from_torch import from_torch
from cylstm.layers import Activation, Conv1D, Dense, Differentiable, FrameStream, InputLayer
from cylstm.models import Sequential

__all__ = ["add_to", "run"]

SAMPLES, CONTEXT = 512, 64  # of a frame; of the frame before, which are read again
HOP, REFLECTED = 128, 64  # between windows of the spectrum; samples that are mirrored at the end
BLOCK = 64  # frames
SECONDS = SAMPLES / RATE  # a frame
SHORTEST_SPEECH, SHORTEST_SILENCE, MARGIN = 0.25, 0.1, 0.03  # seconds
COLUMNS = 64  # of the drawing in the terminal
LEVELS = " .:-=+*#%@"


# ---------------------------------------------------------------------- the model


Computation = Callable[[np.ndarray], np.ndarray]


class Framewise(Differentiable):
    """A layer that computes each frame by itself, of many frames or of one: with the same bits.

    It predicts and does not train.
    """

    framewise = True

    def computation(self, count: int) -> Computation:
        """Return what computes so many frames, (count, features), into arrays of its own."""
        raise NotImplementedError

    def forward(self, inputs: np.ndarray, mask: Any, training: bool, keep: bool) -> tuple[Any, Any]:
        """Compute all frames of all sequences."""
        if keep:
            raise ValueError("The detector of voices predicts, and does not train.")
        frames = inputs.reshape(-1, inputs.shape[-1])
        outputs = self.computation(len(frames))(frames)
        return outputs.reshape(*inputs.shape[:-1], -1), None

    def stream(self, batch_size: int = 1) -> FrameStream:
        """A stream, whose arrays are made once."""
        return PreparedStream(self, batch_size)


class PreparedStream(FrameStream):
    """The stream of such a layer; the next frame overwrites what it returns."""

    def __init__(self, layer: Framewise, batch_size: int) -> None:
        super().__init__(layer)
        self._made_of = layer, batch_size
        self._compute = layer.computation(batch_size)

    def __call__(self, frame: Any) -> np.ndarray:
        return self._compute(frame)

    def copy(self) -> FrameStream:
        """Another one, with arrays of its own."""
        return PreparedStream(*self._made_of)


class Encoder(Framewise):
    """What a frame sounds like, (batch, frames, 128) of (batch, frames, 576 samples).

    The spectrum of 4 windows, then convolutions to 4, 2, 1 and 1 places.
    """

    def __init__(self, convolutions: dict[str, Conv1D], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._spectrum = convolutions["stft_conv"]
        self._convolutions = [convolutions[f"conv{i}"] for i in (1, 2, 3)]
        last = convolutions["conv4"]
        self._last = Conv1D(last.filters, 1, activation="relu", use_bias=last.use_bias)
        self._last.build((None, 1, last.kernel.shape[1]))
        # What is left and right of its one place is padding.
        self._last.set_weights([last.kernel.value[1:2], *last.get_weights()[1:]])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, frames, 128)."""
        return (*input_shape[:-1], self._last.filters)

    def computation(self, count: int) -> Computation:
        """The convolutions, each into the array that the next one reads."""
        # With places of zeros where a convolution reaches beyond the ends: they are never written.
        bands = self._spectrum.filters // 2
        samples = np.zeros((count, SAMPLES + CONTEXT + REFLECTED, 1), np.float32)
        spectrum = np.zeros((count, 6, bands), np.float32)
        steps, found = [], spectrum
        for convolution, places in zip(self._convolutions, (5, 3, 1), strict=True):
            inputs, found = found, np.zeros((count, places, convolution.filters), np.float32)
            inner = found[:, 1:] if places > 1 else found
            steps.append((convolution.prepared(count, inputs.shape[1], out=inner), inputs))
        steps.append((self._last.prepared(count, 1), found))
        waves = np.empty((count, 4, 2 * bands), np.float32)
        transform = self._spectrum.prepared(count, samples.shape[1], out=waves)
        real, imaginary, magnitude = waves[..., :bands], waves[..., bands:], spectrum[:, 1:5]
        whole, end = samples[:, :-REFLECTED, 0], samples[:, -REFLECTED:, 0]
        mirror = whole[:, -2 : -2 - REFLECTED : -1]

        def compute(frames: np.ndarray) -> np.ndarray:
            whole[:] = frames
            end[:] = mirror
            transform(samples)
            np.square(waves, out=waves)
            np.add(real, imaginary, out=magnitude)
            np.sqrt(magnitude, out=magnitude)
            for step, inputs in steps:
                outputs = step(inputs)
            return outputs[:, 0]

        return compute


def load_detector(path: Path) -> Sequential:
    """Return the model: from a sequence of frames to as many probabilities; it keeps its state."""
    layers = from_torch(
        path,
        options={
            "stft_conv": {"strides": HOP},
            "conv1": {"activation": "relu"},
            "conv2": {"activation": "relu", "strides": 2},
            "conv3": {"activation": "relu", "strides": 2},
            "lstm_cell": {"stateful": True, "batch_size": 1},
        },
    )
    kernel, bias = layers["final_conv"].get_weights()  # of one place: a Dense layer
    return Sequential(
        [
            InputLayer(batch_input_shape=(1, None, SAMPLES + CONTEXT)),
            Encoder(layers),
            layers["lstm_cell"],
            Activation("relu"),
            Dense(1, activation="sigmoid", weights=[kernel[0], bias]),
        ]
    )


def frames_of(samples: np.ndarray) -> np.ndarray:
    """Return the frames of a recording, (frames, 576): each begins with the end of the last."""
    count = -(-len(samples) // SAMPLES)
    whole = np.zeros(CONTEXT + count * SAMPLES, np.float32)
    whole[CONTEXT : CONTEXT + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(whole, CONTEXT + SAMPLES)
    return windows[::SAMPLES]


def in_blocks(model: Sequential, frames: np.ndarray) -> np.ndarray:
    """Return the probability of speech in each frame, of many frames at a time."""
    model.reset_states()
    blocks = [frames[i : i + BLOCK] for i in range(0, len(frames), BLOCK)]
    return np.concatenate([model.predict_on_batch(block[np.newaxis])[0, :, 0] for block in blocks])


def one_by_one(model: Sequential, frames: np.ndarray) -> np.ndarray:
    """Return the same, each as soon as its frame is there."""
    stream = model.stream()
    return np.array([stream(frame[np.newaxis])[0, 0] for frame in frames])


# ---------------------------------------------------------------------- what is said of it


class Turns:
    """Whether someone speaks, told frame by frame of how likely that is."""

    def __init__(self, threshold: float) -> None:
        self._most, self._least = threshold, max(threshold - 0.15, 0.01)
        self._count = 0
        self._begin: int | None = None  # the frame where speech began
        self._end: int | None = None  # where it may have ended

    @property
    def speaking(self) -> bool:
        """Whether speech has begun and not ended."""
        return self._begin is not None

    def __call__(self, share: float) -> tuple[int, int] | None:
        """Take the next frame; return begin and end, in frames, of speech that is now over."""
        i, begin = self._count, self._begin
        self._count += 1
        if share >= self._most:
            self._begin, self._end = i if begin is None else begin, None
        elif begin is not None and (self._end is not None or share < self._least):
            self._end = end = i if self._end is None else self._end
            if (i - end) * SECONDS >= SHORTEST_SILENCE:
                self._begin = self._end = None
                return begin, end
        return None


def speech_in(likely: np.ndarray, threshold: float) -> Iterator[tuple[float, float]]:
    """Yield begin and end, in seconds, of each piece of speech."""
    turns, last = Turns(threshold), len(likely) * SECONDS
    silence = [-1.0] * (int(SHORTEST_SILENCE / SECONDS) + 2)  # ends what still goes on
    for piece in map(turns, [*likely, *silence]):
        if piece is not None and (piece[1] - piece[0]) * SECONDS > SHORTEST_SPEECH:
            begin, end = (frame * SECONDS for frame in piece)
            yield max(0.0, begin - MARGIN), min(last, end + MARGIN)


def drawing(likely: np.ndarray) -> str:
    """Return a line of characters, the darker the likelier."""
    parts = np.array_split(likely, min(COLUMNS, len(likely)))
    return "".join(LEVELS[min(int(part.max() * len(LEVELS)), len(LEVELS) - 1)] for part in parts)


def draw(samples: np.ndarray, likely: np.ndarray, pieces: list[Any], path: Path) -> None:
    """Save sound, probabilities and speech as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    sound, chart = figure.subplots(2, sharex=True)
    sound.plot(np.arange(len(samples)) / RATE, samples, color="0.4", linewidth=0.4)
    sound.set_ylabel("sound")
    chart.step(np.arange(len(likely)) * SECONDS, likely, where="post", color="C0")
    chart.set(ylabel="probability of speech", xlabel="seconds", ylim=(0, 1.03))
    for axes in (sound, chart):
        for begin, end in pieces:
            axes.axvspan(begin, end, color="C1", alpha=0.25, linewidth=0)
    save_picture(figure, path)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to a parser."""
    parser.add_argument("file", type=Path, metavar="FILE.wav")
    parser.add_argument("--threshold", type=float, default=0.5, help="of speech; default 0.5")
    parser.add_argument("--stream", action="store_true", help="frame by frame, not in blocks")
    parser.add_argument("--weights", type=Path, help="of a detector of your own, instead")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="sound and speech")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(options: argparse.Namespace) -> None:
    """Say where speech is."""
    check_picture(options.picture)
    samples = read(options.file)
    if not len(samples):
        raise ValueError(f"{options.file} holds no sound.")
    model = load_detector(options.weights or fetch("silero-vad", "silero_vad_16k.safetensors"))
    start = time.perf_counter()
    likely = (one_by_one if options.stream else in_blocks)(model, frames_of(samples))
    took = time.perf_counter() - start
    pieces = list(speech_in(likely, options.threshold))
    if options.picture is not None:
        draw(samples, likely, pieces, options.picture)
    if options.json:
        found = {"seconds": len(samples) / RATE, "speech": pieces, "probabilities": likely.tolist()}
        print(json.dumps(found))
        return
    print(f"|{drawing(likely)}|")
    for begin, end in pieces:
        print(f"{begin:8.2f} s to {end:8.2f} s")
    share = sum(end - begin for begin, end in pieces) / (len(samples) / RATE)
    print(f"Speech: {share:.0%} of {len(samples) / RATE:.1f} s")
    print(f"{took / len(likely) * 1e6:.0f} microseconds a frame of {SECONDS * 1e3:.0f} ms")
    if options.picture is not None:
        print(f"Picture: {options.picture}")
