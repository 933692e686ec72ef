"""Records what ONNX Runtime computes from the files in this folder, into outputs.npz.

Run with onnxruntime and numpy installed, in this folder:

    python record.py

The inputs are random; where the file leaves a size open, it is 2 for the samples and 6 for time.
"""

import glob
import os

import numpy as np
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}
DTYPES["tensor(int32)"] = "int32"
OPEN = {"unused": (2, 4), "x": (2, 6), "ids": (2, 6), "h": (2, 2), "c": (2, 2), "lengths": (2,)}
TIME_FIRST = {"x": (6, 2)}


def size(name, axis, given, time_first):
    """The size of an axis: that of the file, or one of ours."""
    if isinstance(given, int):
        return given
    return (TIME_FIRST if time_first else {}).get(name, OPEN.get(name, (2, 6)))[axis]


def main():
    found = {"version": np.array(onnxruntime.__version__)}
    for path in sorted(glob.glob(os.path.join(HERE, "*.onnx"))):
        name = os.path.splitext(os.path.basename(path))[0]
        random = np.random.RandomState(3)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feeds = {}
        for entry in session.get_inputs():
            time_first = "final_states" in name or "layout_0" in name
            shape = [size(entry.name, i, n, time_first) for i, n in enumerate(entry.shape)]
            dtype = DTYPES[entry.type]
            whole = "embedded" in name or "int" in dtype
            if entry.name == "rate":
                values = np.array(16000)
            elif entry.name == "lengths":
                values = np.array([6, 4])
            elif whole:
                values = random.randint(0, 7, shape)
            else:
                values = random.normal(size=shape)
            feeds[entry.name] = values.astype(dtype)
            if entry.name not in ("rate", "unused"):  # which the model does not have
                found["%s/in/%s" % (name, entry.name)] = feeds[entry.name]
        results = session.run(None, feeds)
        for i, result in enumerate(results):
            found["%s/out/%d" % (name, i)] = result
    np.savez_compressed(os.path.join(HERE, "outputs.npz"), **found)


if __name__ == "__main__":
    main()
