"""What importing cylstm costs, and what is loaded when it is first used, in CPU time.

    python bench/import_time.py [--rounds 11]

Every round is a fresh process with compiled bytecode. It takes the steps of `STEPS` one after the
other, so that each is charged with what it loads itself: first the modules that are not cylstm's
(the standard library's, NumPy's and SciPy's own), then what is left. The median of the rounds is
printed, and its ratio to that of ``import numpy``.

The exit status is 1 if ``import cylstm`` adds more than a third of what ``import numpy`` takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

LIMIT = 1 / 3  # of NumPy's
STEPS = {
    "import numpy": "import numpy",
    "import cylstm": "import cylstm",
    "first LSTM": "layer = cylstm.layers.LSTM(8)",
    "its first weights and call": "layer(numpy.zeros((2, 5, 3), 'float32'))",
    "first model": "model = cylstm.Sequential([cylstm.layers.LSTM(8, input_shape=(5, 3))])",
    "first training": "model.compile('sgd', 'mse'); "
    "model.fit(numpy.zeros((2, 5, 3)), numpy.zeros((2, 8)), verbose=0)",
    "first softmax (SciPy)": "cylstm.layers.LSTM(8, 'softmax')(numpy.zeros((2, 5, 3), 'float32'))",
    "initial weights of LSTM(1024)": "cylstm.layers.LSTM(1024).build((None, None, 1024))",
}
# Runs each step after importing what the step would import of others', and prints for each the
# time of either and the names of these modules; told no modules, it finds out which they are.
PROGRAM = """
import json, sys, time
from importlib import import_module

steps, others = json.loads(sys.argv[1])
names, answers = {}, []
for number, step in enumerate(steps):
    known, start = set(sys.modules), time.process_time()
    for module in others[number] if others and number else ():
        import_module(module)
    between = time.process_time()
    exec(step, names)
    end = time.process_time()
    new = [m for m in sys.modules if m not in known and m.partition(".")[0] != "cylstm"]
    answers.append((between - start, end - between, new))
print(json.dumps(answers))
"""

Answers = list[tuple[float, float, list[str]]]


def run(others: list[list[str]], folder: str) -> Answers:
    """The answers of a fresh process, which keeps its bytecode in a folder."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": os.path.join(folder, "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([list(STEPS.values()), others])],
        cwd=folder,  # where the installed cylstm is found, and not a checkout that is not built
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers: Answers = json.loads(done.stdout)
    return answers


def importable(module: str) -> bool:
    """Whether a name in `sys.modules` can be imported; those that Cython enters cannot."""
    return not module.startswith(("_cython_", "cython_runtime"))


def main() -> int:
    """Measure, print a line for each step, and return 1 if the import is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        others = [list(filter(importable, new)) for _, _, new in run([], folder)]
        rounds = [run(others, folder) for _ in range(arguments.rounds)]
    medians = [
        (
            1e3 * statistics.median(answers[number][0] for answers in rounds),
            1e3 * statistics.median(answers[number][1] for answers in rounds),
        )
        for number in range(len(STEPS))
    ]
    numpy = sum(medians[0])
    print(f"{'CPU time, ms':<30} {'all':>7} {'others':>7} {'own':>7} {'of NumPy':>9}")
    for title, (other, own) in zip(STEPS, medians, strict=True):
        ratio = (other + own) / numpy
        print(f"{title:<30} {other + own:7.1f} {other:7.1f} {own:7.1f} {ratio:9.2f}")
    print("loaded by import cylstm, of others:", ", ".join(others[1]) or "nothing")
    added = sum(medians[1]) / numpy
    print(f"import cylstm adds {added:.2f} of import numpy (limit {LIMIT:.2f})")
    return int(added > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
