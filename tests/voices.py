"""Sounds and a detector that are made here, for tests of what listens to speech."""

import wave

import numpy as np

import cylstm

__all__ = ["a_minute_of", "made_voice", "write_detector", "write_wav"]


def made_voice(pitch: float = 120.0, seconds: float = 2.9) -> np.ndarray:
    """A hum with three resonances that move: no voice, but sound in all bands; at 16 kHz."""
    t = np.arange(int(16000 * seconds)) / 16000
    found = np.zeros_like(t)
    for harmonic in range(1, 60):
        frequency = harmonic * pitch
        loud = sum(
            np.exp(-(((frequency - center * (1 + 0.2 * np.sin(2 * np.pi * speed * t))) / 200) ** 2))
            for center, speed in ((500, 1.1), (1500, 1.7), (3500, 0.6))
        )
        found += loud * np.sin(2 * np.pi * frequency * t + harmonic)
    return np.asarray(found / np.abs(found).max() * 0.5, np.float32)


def a_minute_of(speech: np.ndarray) -> np.ndarray:
    """The recording of data/silero.npz as samples, over and over, behind 64 of silence."""
    samples = np.copysign(np.expm1(np.abs(speech / 127.0) * np.log(256)) / 255, speech)
    minute = np.resize(samples, 60 * 16000 // 512 * 512)
    return np.concatenate([np.zeros(64), minute]).astype(np.float32)


def write_wav(path, samples):
    """Write samples between -1 and 1 as a recording of 16 bits, at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.int16(np.clip(samples, -1, 1) * 32767).tobytes())


def write_detector(path):
    """Write a detector of speech: the sizes of the published one, random weights."""
    random = np.random.default_rng(5)
    shapes = {"stft_conv": (258, 1, 256), "conv1": (128, 129, 3), "conv2": (64, 128, 3)}
    shapes |= {"conv3": (64, 64, 3), "conv4": (128, 64, 3), "final_conv": (1, 128, 1)}
    state = {}
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        state[f"{name}.weight"] = random.normal(size=shape) * scale
        if name != "stft_conv":
            state[f"{name}.bias"] = random.normal(size=shape[0]) * 0.1
    for name in ("ih", "hh"):
        state[f"lstm_cell.weight_{name}"] = random.normal(size=(512, 128)) * 0.3
        state[f"lstm_cell.bias_{name}"] = random.normal(size=512) * 0.1
    cylstm.saving.save_tensors({n: a.astype("float32") for n, a in state.items()}, path)
