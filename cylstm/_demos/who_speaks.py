"""Tell who speaks: which recordings are of the same person.

    cylstm demo speakers one.wav two.wav three.wav
    cylstm demo speakers --picture voices.png recordings/*.wav

The voice encoder of Resemblyzer 0.1.4 (Apache-2.0; three LSTMs of 256 and a dense layer, trained by
its authors with PyTorch) makes 256 numbers of how a person sounds, whatever is said. Its weights
come out of its package, once, and are read without PyTorch; see `fetch_weights.py`.

An utterance is cut into windows of 1.6 seconds, and its embedding is the mean of theirs. What two
have in common is the product of both: 1 for the same sound, some 0.8 for one voice in two
recordings, 0.6 for two voices. Recordings are grouped until no two groups have more than
`--threshold` in common. Where the original drops silence by WebRTC's detector of voices, windows
that are 40 dB below the loudest are dropped here.
"""

import argparse
import json
import time
import wave
from collections.abc import Sequence
from math import gcd
from pathlib import Path

import numpy as np

from cylstm._demos._files import check_picture, save_picture
from cylstm._demos.fetch_weights import fetch
from cylstm._from_torch import from_torch
from cylstm.models import Sequential

__all__ = ["RATE", "add_to", "read", "run"]

RATE = 16_000  # samples a second
WINDOW, HOP, MELS = 400, 160, 40  # of the spectrogram, in samples; its bands
FRAMES = 160  # a window that is embedded: 1.6 seconds
STEP = 77  # frames from one to the next: 1.3 windows a second
COVERAGE = 0.75  # of the last window that must be sound
LOUDNESS = 10 ** (-30 / 20)  # what softer recordings are amplified to
SILENCE = 1e-4  # energy, of the loudest 30 ms
VOICE = 480  # samples that are silent or not together


# ---------------------------------------------------------------------- sound


def read(path: Path) -> np.ndarray:
    """Return the samples of a WAV file between -1 and 1: mono, at 16 kHz."""
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is no WAV file with plain samples ({error}).") from None
    if width == 1:
        samples = np.frombuffer(data, np.uint8) / 128.0 - 1
    elif width == 3:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = np.pad(parts, ((0, 0), (1, 0))).view("<i4").ravel() / 2.0**31
    else:
        samples = np.frombuffer(data, f"<i{width}") / 2.0 ** (8 * width - 1)
    mono = samples.reshape(-1, channels).mean(axis=1)
    if rate == RATE:
        return np.asarray(mono)
    from scipy.signal import resample_poly  # which takes long to load, and is seldom needed

    common = gcd(RATE, rate)
    return np.asarray(resample_poly(mono, RATE // common, rate // common))


def without_silence(samples: np.ndarray) -> np.ndarray:
    """Return the samples, made loud enough, without the parts that are silent."""
    samples = samples[: len(samples) // VOICE * VOICE]
    energy = np.square(samples.reshape(-1, VOICE)).mean(axis=1)
    if not energy.any():
        return samples[:0]
    heard = np.repeat(energy > SILENCE * energy.max(), VOICE)
    return np.asarray(samples[heard] * max(1.0, LOUDNESS / np.sqrt(energy.mean())))


def mel_filters() -> np.ndarray:
    """Return how much of each frequency is in each band, (WINDOW // 2 + 1, MELS).

    Slaney's scale of pitch: linear below 1 kHz, logarithmic above. Bands are triangles that
    overlap by half, of the same area.
    """
    step, octave = 200 / 3, np.log(6.4) / 27
    highest = 1000 / step + np.log(RATE / 2 / 1000) / octave
    pitch = np.linspace(0, highest, MELS + 2)
    above = 1000 * np.exp(octave * np.maximum(pitch - 1000 / step, 0))
    edges = np.where(pitch < 1000 / step, step * pitch, above)
    frequencies = np.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, np.newaxis]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * 2 / (edges[2:] - edges[:-2]))


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Return the power in each band every 10 ms, (frames, MELS)."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    return np.asarray(power @ mel_filters(), dtype=np.float32)


def windows_of(samples: np.ndarray) -> np.ndarray:
    """Return the spectrogram in overlapping windows, (windows, FRAMES, MELS)."""
    count = -(-(len(samples) + 1) // HOP)  # frames
    starts = list(range(0, max(1, count - FRAMES + STEP + 1), STEP))
    heard = (len(samples) - starts[-1] * HOP) / (FRAMES * HOP)
    if heard < COVERAGE and len(starts) > 1:
        starts.pop()
    missing = max(0, (starts[-1] + FRAMES) * HOP - len(samples))
    frames = spectrogram(np.pad(samples, (0, missing)))
    return np.stack([frames[start : start + FRAMES] for start in starts])


# ---------------------------------------------------------------------- voices


def load_encoder(path: Path) -> Sequential:
    """Return the model: the last output of the LSTMs, a dense layer, relu."""
    layers = from_torch(
        path,
        skip=["similarity_weight", "similarity_bias"],  # of its training
        options={"lstm": {"return_sequences": False}, "linear": {"activation": "relu"}},
    )
    return Sequential([layers["lstm"], layers["linear"]])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1; those of silence stay 0."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def embed(encoder: Sequential, samples: np.ndarray) -> np.ndarray:
    """Return the embedding of an utterance, (256,)."""
    parts = unit(encoder.predict(windows_of(samples), batch_size=64))
    return unit(parts.mean(axis=0))


def groups_of(similarity: np.ndarray, threshold: float) -> list[list[int]]:
    """Join the two groups that have most in common, on average, until none has the threshold."""
    groups = [[i] for i in range(len(similarity))]
    while len(groups) > 1:
        common = np.array([[similarity[np.ix_(a, b)].mean() for b in groups] for a in groups])
        np.fill_diagonal(common, -1)
        first, second = sorted(np.unravel_index(common.argmax(), common.shape))
        if common[first, second] < threshold:
            break
        groups[first] += groups.pop(second)
    return [sorted(group) for group in groups]


def draw(similarity: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Save what each two recordings have in common as a picture."""
    from matplotlib.figure import Figure

    size = 2.5 + 0.4 * len(names)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(similarity, vmin=0.4, vmax=1, cmap="viridis")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    figure.colorbar(image, label="in common")
    save_picture(figure, path)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to a parser."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.wav")
    parser.add_argument("--threshold", type=float, default=0.72, help="of one voice; default 0.72")
    parser.add_argument("--weights", type=Path, help="of an encoder of your own, instead")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="what they have in common")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(options: argparse.Namespace) -> None:
    """Say which recordings are of one voice."""
    check_picture(options.picture)
    utterances = [without_silence(read(path)) for path in options.files]
    for path, samples in zip(options.files, utterances, strict=True):
        if not len(samples):
            raise ValueError(f"{path} is silent.")
    encoder = load_encoder(options.weights or fetch("resemblyzer", "pretrained.pt"))
    seconds = sum(map(len, utterances)) / RATE
    start = time.perf_counter()
    found = [embed(encoder, samples) for samples in utterances]
    took = time.perf_counter() - start
    similarity = np.array(found) @ np.array(found).T
    groups = groups_of(similarity, options.threshold)
    order = [i for group in groups for i in group]  # voices side by side
    if options.picture is not None:
        names = [options.files[i].name for i in order]
        draw(similarity[np.ix_(order, order)], names, options.picture)
    if options.json:
        files = [str(path) for path in options.files]
        voices = [[files[i] for i in group] for group in groups]
        print(json.dumps({"files": files, "in_common": similarity.tolist(), "voices": voices}))
        return
    width = max(len(path.name) for path in options.files)
    for i in order:
        row = " ".join(f"{similarity[i, j]:.2f}" for j in order)
        print(f"{options.files[i].name:{width}}  {row}")
    for number, group in enumerate(groups, 1):
        print(f"Voice {number}: {', '.join(options.files[i].name for i in group)}")
    print(f"{seconds:.1f} s of speech in {took:.2f} s")
    if options.picture is not None:
        print(f"Picture: {options.picture}")
