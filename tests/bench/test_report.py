"""Ratios, shares, tables and pictures of made-up times."""

import json

import pytest

from bench import report
from bench.problems import Case, Shape

CACHES = {"L1": 1 << 15, "L2": 1 << 20, "L3": 1 << 25}
PEAKS = {
    "how": "by hand",
    "flops": {"float32": {"1": 1e11, "2": 2e11}},
    "bytes": {
        "1": {"L1": 2e11, "L2": 1e11, "L3": 9e10, "memory": 2e10},
        "2": {"L1": 4e11, "L2": 2e11, "L3": 1.8e11, "memory": 2e10},
    },
}


def timed(seconds, memory=50 << 20):
    spread = {"low": 0.98 * seconds, "high": 1.02 * seconds}
    return {"seconds": seconds, **spread, "rounds": [seconds], "memory": memory, "error": 1e-7}


def row(mode="forward", shape="32,100,64,128", threads=1, **found):
    return report.make_row(Case(mode, Shape.parse(shape)), threads, found)


def made(*rows, **changes):
    described = {"versions": {"cylstm": "0.1"}, "memory": 30 << 20}
    return {
        "date": "today",
        "command": "python -m bench",
        "machine": {
            "cpu": "A CPU",
            "cpus": 2,
            "caches": CACHES,
            "system": "An OS",
            "python": "3.11",
            "load": 0.02,
        },
        "settings": {"rounds": 7},
        "peers": {"1": {"cylstm": described, "torch": {"failed": "no such file"}}},
        "peaks": PEAKS,
        "missing": ["jax"],
        "rows": list(rows),
        **changes,
    }


def lines_with(text, word):
    return [line for line in text.splitlines() if word in line]


def test_the_ratio_is_that_of_the_best_peer():
    one = row(cylstm=timed(2e-3), torch=timed(5e-3), jax=timed(3e-3), keras={"skipped": "no"})
    assert report.best_peer(one) == "jax"
    assert report.ratio(one, "jax") == pytest.approx(1.5)
    assert report.ratio(one, "keras") is None


def test_a_peer_that_failed_late_does_not_count():
    one = row(cylstm=timed(2e-3), torch=timed(5e-3), jax=timed(3e-3) | {"failed": "stopped"})
    assert report.best_peer(one) == "torch"


@pytest.mark.parametrize(
    "found", [{"cylstm": timed(1e-3)}, {"cylstm": {"failed": "x"}, "torch": timed(1e-3)}, {}]
)
def test_there_is_no_ratio_of_one(found):
    one = row(**found)
    assert report.ratio(one, report.best_peer(one)) is None


def test_geometric_means():
    assert report.geometric_mean([0.5, 2.0, None, 8.0]) == 2
    assert report.geometric_mean([None]) is None
    assert report.geometric_mean([]) is None


def test_share_of_the_peak():
    one = row(shape="1,1,1,1", threads=2, cylstm=timed(1e-9))
    assert report.peak_share(one, PEAKS) == pytest.approx(16 / 1e-9 / 2e11)
    assert report.peak_share(one, None) is None
    assert report.peak_share(row(), PEAKS) is None


def test_the_peak_of_the_same_rounds_counts_where_it_was_measured():
    case = Case("forward", Shape(1, 1, 1, 1))
    found = {"cylstm": timed(1e-9)}
    one = report.make_row(case, 1, found, [1e11, 4e11, 2e11])
    assert report.peak_share(one, PEAKS) == pytest.approx(16 / 1e-9 / 2e11)
    before = report.make_row(case, 1, found)
    assert report.peak_share(before, PEAKS) == pytest.approx(16 / 1e-9 / 1e11)


def test_share_of_the_reading_speed():
    # 4 x 128 x 128 numbers of 4 bytes, 256 KiB, are in L2, at one thread and at two.
    one = row(shape="1,10,128,128", cylstm=timed(1e-4))
    assert report.read_share(one, PEAKS, CACHES) == pytest.approx(11 * 4 * 4 * 128**2 / 1e-4 / 1e11)
    assert report.read_share(row(shape="2,1,1,1", cylstm=timed(1.0)), PEAKS, CACHES) is None
    assert report.read_share(row("train", "1,1,1,1", cylstm=timed(1.0)), PEAKS, CACHES) is None


def test_the_report_has_a_table_for_each_kind():
    rows = [
        row(cylstm=timed(2e-3), torch=timed(5e-3, 90 << 20), jax=timed(3e-3, 80 << 20)),
        row(shape="1,1,32,64", cylstm=timed(1.234e-6), torch=timed(4 * 1.234e-6), jax=timed(9e-3)),
        row("train", cylstm=timed(1e-3), torch=timed(2e-3), jax={"skipped": "no gradients"}),
        row(threads=2, cylstm=timed(1e-3)),
    ]
    text = report.text(made(*rows))
    titles = [line[4:] for line in lines_with(text, "### ")]
    assert titles == [
        "forward, float32, 1 thread",
        "train, float32, 1 thread",
        "forward, float32, 2 threads",
        "Summary",
    ]
    large, small = lines_with(text, "32,100,64,128")[0], lines_with(text, "1,1,32,64")[0]
    assert "2000 ±2%" in large
    assert "**3000** ±2%" in large
    assert "1.50" in large
    assert "50 / 80" in large
    assert "**4.94** ±2%" in small
    mean = lines_with(text, "geometric mean")[0]
    assert "3.16 x" in mean  # of torch: 2.5 and 4
    assert "2.45" in mean  # of the best: 1.5 and 4
    assert "jax" not in text.split("### train")[1].split("###")[0]
    summary = text.split("### Summary")[1]
    assert "1.50 |           2.45 |      2 |" in summary
    # of the batch of 32 alone: 629 million operations in 2 ms, 3.15 times the peak above
    cells = lines_with(summary, "forward, float32, 1 thread")[0].split("|")
    assert [cell.strip() for cell in cells[5:7]] == ["1.50", "0.48"]
    assert "2 threads" not in summary
    for line in ("A CPU", "by hand", "load when it began 0.02", "not installed: jax"):
        assert line in text
    assert "torch cannot be loaded: no such file" in text
    widths = {line.count("|") for line in text.split("###")[1].splitlines() if "|" in line}
    assert len(widths) == 1


def test_a_report_can_be_read_back_from_json():
    one = made(row(cylstm=timed(2e-3), torch=timed(5e-3)))
    assert report.text(json.loads(json.dumps(one))) == report.text(one)


def test_failures_are_listed():
    failed = {"failed": "disagrees with cylstm"}
    one = made(row(cylstm=timed(1.0), torch=failed, jax={"skipped": "no"}))
    line = "torch, forward, float32, 1 thread, (32,100,64,128): disagrees with cylstm"
    assert report.failures(one) == [line]
    assert line in report.text(one)
    assert not report.failures(made(row(cylstm=timed(1.0))))


def test_cylstm_must_load():
    one = made(peers={"2": {"cylstm": {"failed": "ImportError"}, "torch": {"failed": "x"}}})
    assert report.failures(one) == ["cylstm, 2 thread(s): ImportError"]


def test_a_run_that_was_interrupted_early():
    assert "Nothing to compare" in report.text(made(peaks=None, peers={}))


def test_a_line_while_one_waits():
    one = row(cylstm=timed(2e-3), torch=timed(5e-3), jax={"failed": "x"}, keras={"skipped": "y"})
    assert (
        report.one_line(one) == "cylstm 2000 ±2%, torch 5000 ±2%, jax failed, keras -; ratio 2.50"
    )


def test_pictures(tmp_path):
    rows = [
        row(threads=threads, shape=shape, cylstm=timed(1e-3), torch=timed(2e-3))
        for threads in (1, 2)
        for shape in ("1,2,3,4", "5,6,7,8")
    ]
    files = report.plot(made(*rows, row("train", cylstm=timed(1.0))), tmp_path / "new")
    assert [file.name for file in files] == ["forward-float32.png"]  # cylstm alone has none
    assert files[0].read_bytes().startswith(b"\x89PNG")
