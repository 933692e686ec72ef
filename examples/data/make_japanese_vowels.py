"""Make japanese_vowels.npz from the two .ts files of the JapaneseVowels data.

    python make_japanese_vowels.py JapaneseVowels_TRAIN.ts JapaneseVowels_TEST.ts

The files are among the data sets inside the wheel of aeon 1.6.0. See japanese_vowels.md.
"""

import sys
from pathlib import Path

import numpy as np


def read(path: str) -> dict[str, np.ndarray]:
    """Read a .ts file: a line is an utterance, its 12 series and the speaker between colons."""
    utterances, speakers = [], []
    _, _, body = Path(path).read_text().partition("@data\n")
    for line in body.split():
        *coefficients, speaker = line.split(":")
        printed = np.array([values.split(",") for values in coefficients], float).T
        millionths = np.rint(printed * 1e6).astype(np.int32)
        if not np.array_equal(millionths / 1e6, printed):
            raise SystemExit(f"{path}: a value has more than six decimals")
        utterances.append(millionths)
        speakers.append(int(speaker))
    return {
        "frames": np.concatenate(utterances),
        "lengths": np.array([len(u) for u in utterances], np.uint8),
        "speakers": np.array(speakers, np.uint8),
    }


if __name__ == "__main__":
    arrays: dict[str, np.ndarray] = {}
    for part, source in zip(("train", "test"), sys.argv[1:], strict=True):
        arrays |= {f"{part}_{key}": array for key, array in read(source).items()}
    target = Path(__file__).with_name("japanese_vowels.npz")
    np.savez_compressed(target, allow_pickle=False, **arrays)
