"""Sounds that are made here, for tests of what listens to speech."""

import numpy as np

__all__ = ["a_minute_of", "made_voice"]


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
