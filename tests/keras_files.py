"""The recorded files of other Keras versions; see tests/data/record_keras_files.py."""

import atexit
import functools
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data" / "keras_files"
ORIGINS = ("tf_1_4", "keras1", "keras2", "tf_keras", "keras3", "masks", "bidirectional")


@functools.cache
def unpacked(origin: str) -> Path:
    """A folder of the files of an origin. Not to be changed."""
    folder = Path(tempfile.mkdtemp(prefix=f"{origin}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(DATA / f"{origin}.zip") as archive:
        archive.extractall(folder)
    return folder


def names(origin: str, suffix: str) -> list[str]:
    """The names of the models that have a file of a suffix."""
    with zipfile.ZipFile(DATA / f"{origin}.zip") as archive:
        files = set(archive.namelist())
    return sorted(f[:-4] for f in files if f.endswith(".npz") and f[:-4] + suffix in files)


CASES = {
    suffix: [(o, n) for o in ORIGINS for n in names(o, suffix)]
    for suffix in (".h5", "_w.h5", ".weights.h5", ".keras", ".json")
}


class Recorded:
    """What a model was given and what it answered."""

    def __init__(self, origin: str, name: str) -> None:
        self.path = unpacked(origin) / name
        with np.load(f"{self.path}.npz") as arrays:
            self.arrays = dict(arrays)

    def file(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _of(self, kind: str) -> list[np.ndarray]:
        return [self.arrays[k] for k in sorted(self.arrays) if k.startswith(f"{kind}_")]

    @property
    def inputs(self):
        inputs = self._of("x")
        return inputs if len(inputs) > 1 else inputs[0]

    @property
    def batch(self) -> int:
        return len(self._of("x")[0])

    def check(self, model, kind: str = "y", tolerance: float = 5e-7) -> None:
        """The model predicts what was recorded."""
        model.reset_states()
        outputs = model.predict(self.inputs, batch_size=self.batch)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        for one, two in zip(outputs, self._of(kind), strict=True):
            np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)
