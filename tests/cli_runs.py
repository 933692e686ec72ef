"""Commands run within the process of a test, and data for them."""

import csv

import numpy as np

from cylstm.cli import main

__all__ = ["refused", "run", "write_csv", "write_long", "write_wide"]


def run(capsys, *arguments):
    """Run a command; return its status, and the lines of both its outputs."""
    status = main([str(argument) for argument in arguments])
    found = capsys.readouterr()
    return status, found.out.splitlines(), found.err.splitlines()


def refused(capsys, *arguments, status=1):
    """What a command says that cannot be done, without the name of the program."""
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (status, []), err
    assert err[-1].startswith(f"cylstm {arguments[0]}: error: ")
    assert all("Traceback" not in line for line in err)
    return err[-1].partition("error: ")[2]


def write_csv(path, rows):
    """Write rows of cells."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_wide(path, count=40, steps=12, seed=1):
    """A row for each sequence: some go up, the others down, and they end sooner or later."""
    random = np.random.default_rng(seed)
    rows = [[*(f"t{i}" for i in range(steps)), "target"]]
    for i in range(count):
        length = random.integers(steps // 2, steps + 1)
        values = (0.3 if i % 2 else -0.3) * np.arange(length) + random.normal(0, 0.2, length)
        cells = [f"{value:.4f}" for value in values]
        rows.append([*cells, *[""] * (steps - length), "up" if i % 2 else "down"])
    write_csv(path, rows)


def write_long(path, count=30, seed=2, targets=True):
    """A row for each hour of machines; wear and cost are to be predicted from two sensors."""
    random = np.random.default_rng(seed)
    rows = [["machine", "hour", "heat", "load", *(["wear", "cost"] if targets else [])]]
    for i in range(count):
        a, b = random.random(2)
        for hour in range(random.integers(3, 9)):
            heat, load = 20 + 10 * a + 0.1 * random.normal(), 1000 * b + random.normal()
            told = [f"{a + b:.5f}", f"{1000 * a:.3f}"] if targets else []
            rows.append([f"m{i}", hour, f"{heat:.4f}", f"{load:.3f}", *told])
    write_csv(path, rows)
