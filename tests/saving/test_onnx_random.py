"""Random graphs, in which axes are moved about: the numbers of ONNX Runtime, or a refusal.

``ONNX_GRAPHS=FILE`` takes others; `tests/data/onnx/write_random.py` makes them.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from cylstm.models import load_model
from cylstm.saving import FormatError

STORED = Path(__file__).resolve().parents[1] / "data" / "onnx" / "random_graphs.npz"
FILE = Path(os.environ.get("ONNX_GRAPHS", STORED))


@pytest.fixture(scope="module")
def graphs():
    """The bytes, the input and the outputs, samples first, of each graph."""
    found = {}
    with np.load(FILE) as arrays:
        for key in arrays.files:
            number, *rest = key.split("/")
            entry = found.setdefault(int(number), {"outputs": []})
            if len(rest) == 1:
                entry[rest[0]] = arrays[key]
            else:
                entry["outputs"].append(np.moveaxis(arrays[key], int(rest[1]), 0))
    return list(found.values())


def predicted(path, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of samples that are on another axis in the file
        model = load_model(path)
    found = model.predict(x)
    return model, found if isinstance(found, list) else [found]


def test_they_are_computed_as_onnx_runtime_does(graphs, tmp_path):
    path, refused = tmp_path / "model.onnx", []
    for number, entry in enumerate(graphs):
        path.write_bytes(entry["file"].tobytes())
        try:
            model, found = predicted(path, entry["x"])
        except FormatError as error:
            refused.append(f"{number}: {error}")
            continue
        for one, two in zip(found, entry["outputs"], strict=True):
            assert one.shape == two.shape, number
            scale = max(1, np.abs(two).max(initial=0))
            np.testing.assert_allclose(one / scale, two / scale, atol=2e-5, err_msg=str(number))
        model.save(tmp_path / "written.onnx")
        again = predicted(tmp_path / "written.onnx", entry["x"])[1]
        for one, two in zip(found, again, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5, err_msg=str(number))
    assert len(refused) <= len(graphs) // 50, refused
