"""The two scripts that measure cylstm alone print their figures, whatever they are."""

import re
import sys

import numpy as np
import pytest

from bench import fit_overhead, limits


def test_the_share_of_python_in_training(monkeypatch, capsys):
    monkeypatch.setattr(fit_overhead._core, "Cell", fit_overhead._core.Cell)  # put back
    monkeypatch.setattr(sys, "argv", ["fit_overhead.py", "--batches", "1", "--epochs", "2"])
    assert fit_overhead.main() in (0, 1)
    printed = capsys.readouterr().out
    shares = [float(share) for share in re.findall(r"outside the core: ([\d.]+)%", printed)]
    assert len(shares) == 3
    assert all(0 < share < 100 for share in shares)
    assert shares[2] == min(shares)


def test_limits(monkeypatch, capsys):
    monkeypatch.setattr(limits.cylstm, "set_num_threads", lambda count: None)
    monkeypatch.setattr(sys, "argv", ["limits.py", "--rounds", "1"])
    assert limits.main() in (0, 1)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6
    assert sum("microseconds outside the kernel (limit 5)" in line for line in printed) == 2
    assert sum("denormal numbers" in line for line in printed) == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_called_denormal_is_so(dtype):
    tiny = float(np.finfo(dtype).smallest_normal) / 1024
    outputs, ordinary = (limits.made_call(dtype, False, *s)() for s in [(tiny, tiny**0.5), (1, 1)])
    assert outputs.dtype == dtype
    assert np.abs(outputs).max() == 0  # flushed, while the ordinary ones are not
    assert np.abs(ordinary).max() > 0.1
