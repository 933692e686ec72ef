"""What it costs to have cylstm and its peers: size, import, memory, time to a first prediction.

    python bench/startup.py torch=PYTHON tensorflow=PYTHON onnxruntime=PYTHON [--rounds 11]

Each name of `PROGRAMS` is given the interpreter of an environment where it is installed as a user
installs it, from wheels; cylstm's is the one that runs this, unless it is given as well. Each first
saves a model there, LSTM(128) on 64 inputs, in its own format (onnxruntime, which writes none, has
onnx for it). Then fresh processes, in turns, import the library, load the model and predict one
sequence of 100 steps. The table has the medians of the rounds:

- the size of what is installed, without compiled bytecode: its own, and with all that it requires;
- the CPU time of all threads and the time by the clock that the import takes,
- the same from the start of the process to the end of the first prediction,
- and the most memory that the process had until then.

The exit status is 1 if cylstm is not ahead of a peer in one of the columns. What loading cylstm is
made of is told by import_time.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """What is run of a library: its import, how it saves the model once, and how it predicts."""

    module: str
    save: str
    predict: str
    distribution: str = ""


PROGRAMS = {
    "cylstm": Program(
        "cylstm",
        "model = cylstm.Sequential([cylstm.layers.LSTM(128, input_shape=(100, 64))])\n"
        "model.save('model.safetensors')",
        "y = cylstm.models.load_model('model.safetensors').predict(x)",
    ),
    "torch": Program(
        "torch",
        "torch.save(torch.nn.LSTM(64, 128, batch_first=True).state_dict(), 'model.pt')",
        "layer = torch.nn.LSTM(64, 128, batch_first=True)\n"
        "layer.load_state_dict(torch.load('model.pt', weights_only=True))\n"
        "with torch.inference_mode():\n"
        "    y = layer(torch.from_numpy(x))[0][:, -1].numpy()",
    ),
    "tensorflow": Program(
        "tensorflow",
        "layers = [tensorflow.keras.layers.Input((100, 64)), tensorflow.keras.layers.LSTM(128)]\n"
        "tensorflow.keras.Sequential(layers).save('model.keras')",
        "y = tensorflow.keras.models.load_model('model.keras').predict(x, verbose=0)",
        "tensorflow-cpu",
    ),
    "onnxruntime": Program(
        "onnxruntime",
        "import onnx, numpy\n"
        "from onnx import helper, numpy_helper, TensorProto\n"
        "draw = numpy.random.default_rng(0).standard_normal\n"
        "weights = {n: draw((1, 512, k)).astype('f') / 10 for n, k in [('w', 64), ('r', 128)]}\n"
        "given = [numpy_helper.from_array(array, name) for name, array in weights.items()]\n"
        "node = helper.make_node('LSTM', ['x', 'w', 'r'], ['', 'h'], hidden_size=128)\n"
        "shapes = {'x': [100, 1, 64], 'h': [1, 1, 128]}\n"
        "x, h = (helper.make_tensor_value_info(n, 1, s) for n, s in shapes.items())\n"
        "graph = helper.make_graph([node], 'model', [x], [h], given)\n"
        "opset = [helper.make_opsetid('', 14)]\n"
        "onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), 'model.onnx')",
        "session = onnxruntime.InferenceSession('model.onnx', providers=['CPUExecutionProvider'])\n"
        "y = session.run(None, {'x': x.transpose(1, 0, 2)})[0][0]",
    ),
}
# Told when it was started, by the clock that all processes share; its last line are its figures.
MEASURED = """
import sys, time
before = time.process_time(), time.monotonic()
import {module}
after = time.process_time(), time.monotonic()
import numpy
x = numpy.ones((1, 100, 64), numpy.float32)
{predict}
end = time.process_time(), time.monotonic()
assert y.shape == (1, 128), y.shape
import json, resource
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
peak *= 1 if sys.platform == "darwin" else 1024
taken = [b - a for a, b in zip(before, after)]
print(json.dumps([*taken, end[0], end[1] - float(sys.argv[1]), peak]))
"""
# The size of a distribution, and of all that it requires here.
SIZES = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def size(name, seen):
    try:
        found = distribution(name)
    except PackageNotFoundError:  # required elsewhere only
        return 0
    key = plain(found.metadata["Name"])
    if key in seen:
        return 0
    files = [f.locate() for f in found.files or () if f.suffix != ".pyc"]
    seen[key] = sum(f.stat().st_size for f in files if f.is_file())
    needed = [r for r in found.requires or () if "extra ==" not in r]
    return seen[key] + sum(size(re.match(r"[\\w.-]+", r)[0], seen) for r in needed)

name, module = sys.argv[1:]
files = distribution(name).files or ()
if not any(str(f) == f"{module}/__init__.py" for f in files):
    sys.exit(f"{name} is not installed from a wheel, which has a size")
total = size(name, seen := {})
print(json.dumps([seen[plain(name)], total]))
"""
COLUMNS = {
    "size, MB": 1e-6,
    "with all, MB": 1e-6,
    "import, CPU ms": 1e3,
    "clock ms": 1e3,
    "to prediction, CPU ms": 1e3,
    "clock ms ": 1e3,
    "memory, MB": 1e-6,
}


def said(python: str, program: str, folder: str, *arguments: str) -> list[float]:
    """The numbers in the last line that a program prints; where it fails, what it says."""
    done = subprocess.run(
        [python, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr}")
    numbers: list[float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def save(name: str, python: str, folder: str) -> list[float]:
    """Save the model of a library, once; the sizes of what is installed."""
    program = PROGRAMS[name]
    said(python, f"import {program.module}\n{program.save}\nprint([])", folder)
    return said(python, SIZES, folder, program.distribution or name, program.module)


def predict(name: str, python: str, folder: str) -> list[float]:
    """The figures of one fresh process."""
    program = PROGRAMS[name]
    text = MEASURED.format(module=program.module, predict=program.predict)
    return said(python, text, folder, str(time.monotonic()))


def measure(pythons: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """A number for each of the columns, of every library."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = {name: save(name, python, folder) for name, python in pythons.items()}
        found: dict[str, list[list[float]]] = {name: [] for name in pythons}
        for number in range(rounds + 1):  # the first one only fills the system's caches
            for name, python in pythons.items():
                figures = predict(name, python, folder)
                found[name] += [figures] if number else []
    return {
        name: sizes[name] + [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in found.items()
    }


def behind(figures: dict[str, list[float]]) -> list[str]:
    """In which columns a peer is ahead of cylstm."""
    return [
        f"{name} is ahead of cylstm in {column.strip()}"
        for name, row in figures.items()
        for column, own, other in zip(COLUMNS, figures["cylstm"], row, strict=True)
        if other < own
    ]


def main() -> int:
    """Measure and print the table, and return 1 if cylstm is behind anywhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", metavar="NAME=PYTHON", help=", ".join(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    pythons = {"cylstm": sys.executable}
    for peer in arguments.peers:
        name, equals, python = peer.partition("=")
        if name not in PROGRAMS or not (equals and python):
            parser.error(f"{peer!r} should be NAME=PYTHON, NAME one of {', '.join(PROGRAMS)}")
        pythons[name] = python
    figures = measure(pythons, arguments.rounds)
    print(f"| {'':11} | {' | '.join(title.strip() for title in COLUMNS)} |")
    print(f"| {'-' * 11} |{' ---: |' * len(COLUMNS)}")
    for name, row in figures.items():
        cells = [f"{n * unit:,.1f}" for n, unit in zip(row, COLUMNS.values(), strict=True)]
        print(f"| {name:11} | {' | '.join(cells)} |")
    losses = behind(figures)
    print(*losses, sep="\n", end="\n" * bool(losses))
    return int(bool(losses))


if __name__ == "__main__":
    raise SystemExit(main())
