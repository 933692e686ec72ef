"""Tables and plots of what was measured.

A report is a dict as it stands in the JSON file: ``date``, ``command``, ``machine``
(`bench.machine.describe`), ``peaks`` (`bench.machine.measure`), ``settings``, ``peers`` (by
number of threads and name: versions, instruction set, memory when idle), ``isa`` (what the CPU
has, what was asked for, whether peers are held to it; not in older files), ``missing`` (peers that
are not installed) and ``rows``, each a case (mode, shape, dtype, ragged), ``threads``, ``flops``,
``streamed_bytes``, ``peak`` and ``found``, what `bench.runner.time_case` returned.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.machine import cache_level
from bench.problems import Case

__all__ = ["failures", "make_row", "one_line", "plot", "text"]

OURS = "cylstm"
# Okabe and Ito's colours, which the colour-blind can tell apart.
STYLES = {
    "torch": ("#D55E00", "o"),
    "onnxruntime": ("#0072B2", "s"),
    "openvino": ("#009E73", "^"),
    "jax": ("#E69F00", "D"),
    "keras": ("#CC79A7", "v"),
    "libxsmm": ("#56B4E9", "P"),
    "onednn": ("#000000", "X"),
}

Row = dict[str, Any]


def make_row(
    case: Case, threads: int, found: dict[str, dict[str, Any]], peaks: Iterable[float] = ()
) -> Row:
    """A row of the report; the peaks are those that were measured in its rounds."""
    rates = list(peaks)
    return {
        "mode": case.mode,
        "shape": str(case.shape),
        "dtype": case.dtype,
        "ragged": case.ragged,
        "threads": threads,
        "flops": case.flops,
        "streamed_bytes": case.streamed_bytes,
        "peak": statistics.median(rates) if rates else None,
        "found": found,
    }


def best_peer(row: Row) -> str | None:
    """The peer with the least time; None if cylstm was alone."""
    timed = [name for name, entry in row["found"].items() if name != OURS and _timed(entry)]
    return min(timed, key=lambda name: row["found"][name]["seconds"], default=None)


def ratio(row: Row, peer: str | None) -> float | None:
    """A peer's time to that of cylstm; None if one of them was not timed."""
    ours, theirs = (row["found"].get(name, {}) for name in (OURS, peer))
    if not (_timed(ours) and _timed(theirs)):
        return None
    return float(theirs["seconds"] / ours["seconds"])


def _timed(entry: dict[str, Any]) -> bool:
    return "seconds" in entry and "failed" not in entry


def geometric_mean(ratios: Iterable[float | None]) -> float | None:
    """Of those that are numbers; None if there are none.

    Examples
    --------
    >>> geometric_mean([2.0, None, 8.0])
    4.0
    """
    known = [value for value in ratios if value is not None]
    return round(statistics.geometric_mean(known), 12) if known else None


def peak_share(row: Row, peaks: dict[str, Any] | None) -> float | None:
    """The operations of cylstm to the peak: that of the same rounds, or else the one before all."""
    ours = row["found"].get(OURS, {})
    if peaks is None or not _timed(ours):
        return None
    peak = row.get("peak") or peaks["flops"][row["dtype"]][str(row["threads"])]
    return float(row["flops"] / ours["seconds"] / peak)


def ratio_at_peak(row: Row, peaks: dict[str, Any] | None) -> float | None:
    """What `ratio` to the best peer would be if cylstm ran at the measured peak."""
    found, share = ratio(row, best_peer(row)), peak_share(row, peaks)
    return None if found is None or share is None else found / share


def read_share(row: Row, peaks: dict[str, Any] | None, caches: dict[str, int]) -> float | None:
    """The speed at which cylstm reads the weights, to that of the cache that holds them.

    Of forward passes with a batch of one, which must read the recurrent weights at every step;
    None for others.
    """
    ours, (batch, _, _, units) = row["found"].get(OURS, {}), map(int, row["shape"].split(","))
    if peaks is None or not _timed(ours) or batch != 1 or row["mode"] == "train":
        return None
    size = 4 * units * units * (4 if row["dtype"] == "float32" else 8)
    level = cache_level(size, row["threads"], caches)
    speed = peaks["bytes"][str(row["threads"])][level]
    return float(row["streamed_bytes"] / ours["seconds"] / speed)


def groups(rows: list[Row]) -> dict[tuple[str, str, bool, int], list[Row]]:
    """The rows by mode, dtype, ragged and threads."""
    found: dict[tuple[str, str, bool, int], list[Row]] = {}
    for row in rows:
        key = row["mode"], row["dtype"], row["ragged"], row["threads"]
        found.setdefault(key, []).append(row)
    return found


def one_line(row: Row) -> str:
    """The times of a row, for those who wait."""
    cells = (f"{name} {_cell(entry, False)}" for name, entry in row["found"].items())
    value = ratio(row, best_peer(row))
    return ", ".join(cells) + ("" if value is None else f"; ratio {value:.2f}")


def failures(report: dict[str, Any]) -> list[str]:
    """A line for each case that a peer failed at, or computed otherwise than cylstm.

    Also one for cylstm itself where it cannot be loaded; peers are left out then.
    """
    unloaded = [
        f"{OURS}, {threads} thread(s): {of[OURS]['failed']}"
        for threads, of in report["peers"].items()
        if "failed" in of.get(OURS, {})
    ]
    return unloaded + [
        f"{name}, {_title(_key(row))}, ({row['shape']}): {entry['failed']}"
        for row in report["rows"]
        for name, entry in row["found"].items()
        if "failed" in entry
    ]


def _key(row: Row) -> tuple[str, str, bool, int]:
    return row["mode"], row["dtype"], row["ragged"], row["threads"]


def _title(key: tuple[str, str, bool, int]) -> str:
    mode, dtype, ragged, threads = key
    lengths = ", ragged" if ragged else ""
    return f"{mode}, {dtype}{lengths}, {threads} thread{'s' if threads > 1 else ''}"


# -------------------------------------------------------------------------------------- text


def text(report: dict[str, Any]) -> str:
    """The whole report as Markdown."""
    parts = [_heading(report)]
    for key, rows in groups(report["rows"]).items():
        parts.append(f"### {_title(key)}\n\n{_table(rows, report)}")
    parts.append(_summary(report))
    if failed := failures(report):
        parts.append("Failed:\n\n" + "\n".join(f"- {line}" for line in failed))
    return "\n\n".join(parts) + "\n"


def _heading(report: dict[str, Any]) -> str:
    machine, settings = report["machine"], report["settings"]
    load = machine["load"]
    busy = "" if load is None else f"; load when it began {load:.2f}"
    lines = [
        f"- {report['date']}, `{report['command']}`",
        f"- {machine['cpu']}, {machine['cpus']} CPUs; {machine['system']}; Python "
        f"{machine['python']}{busy}",
        *_isa_lines(report),
        *_peak_lines(report["peaks"]),
        *_peer_lines(report["peers"]),
        f"- median of {settings['rounds']} rounds ± half the distance of their quartiles, in "
        "microseconds; **best peer**; ratio: its time / cylstm's; FMA: share of the peak of "
        "multiply-adds; read: share of the speed of the cache that holds the weights; MB: peak "
        "memory of the process, cylstm / the peer with the least",
    ]
    if report["missing"]:
        lines.append(f"- not installed: {', '.join(report['missing'])}")
    return "\n".join(lines)


def _isa_lines(report: dict[str, Any]) -> list[str]:
    """What cylstm ran, as it tells, what the CPU has, and whether peers were held to it."""
    if "isa" not in report:
        return []
    told = dict.fromkeys(of.get(OURS, {}).get("isa") for of in report["peers"].values())
    ran = ", ".join(name for name in told if name is not None) or "unknown"
    has = ", ".join(report["isa"]["available"]) or "unknown"
    held = f"; all held to {report['isa']['asked']}" if report["isa"]["held"] else ""
    return [f"- instruction set: cylstm ran **{ran}**; this CPU has {has}{held}"]


def _peak_lines(peaks: dict[str, Any] | None) -> list[str]:
    if peaks is None:
        return []
    lines = [f"- peaks ({peaks['how']}):"]
    for threads, speeds in peaks["bytes"].items():
        rates = [f"{dtype} {of[threads] / 1e9:.0f} GFLOP/s" for dtype, of in peaks["flops"].items()]
        reads = [f"{level} {speed / 1e9:.0f}" for level, speed in speeds.items()]
        lines.append(f"  {threads} thread(s) {', '.join(rates)}; reads {', '.join(reads)} GB/s")
    return ["\n".join(lines)]


def _peer_lines(peers: dict[str, dict[str, Any]]) -> list[str]:
    """Versions and idle memory, which hardly depend on the number of threads."""
    seen = {name: entry for of in peers.values() for name, entry in of.items()}
    lines = []
    for name, entry in seen.items():
        if "failed" in entry:
            lines.append(f"- {name} cannot be loaded: {entry['failed']}")
            continue
        if "left_out" in entry:
            lines.append(f"- {name} is left out, as it cannot be held: {entry['left_out']}")
            continue
        versions = ", ".join(f"{package} {number}" for package, number in entry["versions"].items())
        told = f"; it tells {entry['isa']}" if entry.get("isa") and name != OURS else ""
        lines.append(f"- {name}: {versions}; {_megabytes(entry['memory'])} MB when loaded{told}")
    return lines


def _table(rows: list[Row], report: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["found"]))
    names = [n for n in names if any("skipped" not in row["found"].get(n, {}) for row in rows)]
    lines = [["B,T,D,U", *names, "ratio", "FMA", "read", "MB"]]
    for row in rows:
        best = best_peer(row)
        shares = (
            peak_share(row, report["peaks"]),
            read_share(row, report["peaks"], report["machine"]["caches"]),
        )
        lines.append(
            [
                row["shape"],
                *(_cell(row["found"].get(name, {}), name == best) for name in names),
                _number(ratio(row, best)),
                *("" if share is None else f"{100 * share:.0f} %" for share in shares),
                _memory(row),
            ]
        )
    means = (geometric_mean(ratio(row, name) for row in rows) for name in names)
    overall = geometric_mean(ratio(row, best_peer(row)) for row in rows)
    if overall is not None:
        times = [f"{mean:.2f} x" if mean is not None else "" for mean in means]
        lines.append(["geometric mean", *times, _number(overall), "", "", ""])
    return _markdown(lines)


def _cell(entry: dict[str, Any], is_best: bool) -> str:
    if "failed" in entry:
        return "failed"
    if not _timed(entry):
        return "-"
    middle = entry["seconds"]
    spread = (entry["high"] - entry["low"]) / 2 / middle
    number = _microseconds(middle)
    return f"{f'**{number}**' if is_best else number} ±{100 * spread:.0f}%"


def _microseconds(seconds: float) -> str:
    """Three digits at least, and no more decimals than needed for them.

    Examples
    --------
    >>> _microseconds(1.2345e-6), _microseconds(12.345e-6), _microseconds(0.12345)
    ('1.23', '12.3', '123450')
    """
    value = 1e6 * seconds
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**20:.0f}"


def _memory(row: Row) -> str:
    sizes = {name: entry.get("memory") for name, entry in row["found"].items() if _timed(entry)}
    ours = sizes.pop(OURS, None)
    theirs = [size for size in sizes.values() if size is not None]
    if ours is None:
        return ""
    return f"{_megabytes(ours)} / {_megabytes(min(theirs))}" if theirs else _megabytes(ours)


def _markdown(lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

    def padded(line: list[str]) -> str:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]) + " |"
    return "\n".join([padded(lines[0]), rule, *map(padded, lines[1:])])


def _summary(report: dict[str, Any]) -> str:
    """The least ratio and the geometric mean of each group, and what the machine would allow."""
    heads = ["best peer's time / cylstm's", "least", "geometric mean", "shapes"]
    lines = [[*heads, "batches above 1", "those at the peak"]]
    for key, rows in groups(report["rows"]).items():
        known = [value for row in rows if (value := ratio(row, best_peer(row))) is not None]
        if known:
            batches = [row for row in rows if not row["shape"].startswith("1,")]
            lines.append(
                [
                    _title(key),
                    _number(min(known)),
                    _number(geometric_mean(known)),
                    str(len(known)),
                    _number(geometric_mean(ratio(row, best_peer(row)) for row in batches)),
                    _number(geometric_mean(ratio_at_peak(row, report["peaks"]) for row in batches)),
                ]
            )
    if len(lines) == 1:
        return "### Summary\n\nNothing to compare."
    return (
        f"### Summary\n\n{_markdown(lines)}\n\nThe last column: the geometric mean if every "
        "multiply-add of cylstm were done at the machine's peak, and nothing else took time."
    )


# -------------------------------------------------------------------------------------- plots


def plot(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draw a picture for each mode, dtype and kind of lengths: the peers' times to cylstm's.

    Parameters
    ----------
    report : dict
        See above.
    folder : Path
        Where to write; made if it is missing.

    Returns
    -------
    list of Path
        The PNG files. Groups that no peer was timed for have none.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    by_threads: dict[tuple[str, str, bool], dict[int, list[Row]]] = {}
    for (mode, dtype, ragged, threads), rows in groups(report["rows"]).items():
        if any(ratio(row, best_peer(row)) is not None for row in rows):
            by_threads.setdefault((mode, dtype, ragged), {})[threads] = rows
    files = []
    for (mode, dtype, ragged), panels in by_threads.items():
        height = 1.6 + 0.28 * max(map(len, panels.values()))
        figure = Figure(figsize=(1 + 4.2 * len(panels), height), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for place, (threads, rows) in zip(axes, panels.items(), strict=True):
            _draw(place, rows)
            place.set_title(f"{threads} thread{'s' if threads > 1 else ''}")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
        name = f"{mode}-{dtype}{'-ragged' if ragged else ''}"
        figure.suptitle(f"{name.replace('-', ', ')}: time of each library / time of cylstm")
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=120)
    return files


def _draw(axes: Any, rows: list[Row]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    shapes = [row["shape"] for row in rows]
    for name, (colour, marker) in STYLES.items():
        points = [(value, i) for i, row in enumerate(rows) if (value := ratio(row, name))]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=colour, label=name, markersize=6)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(shapes)), shapes)
    axes.set_ylim(len(shapes) - 0.5, -0.5)
    axes.grid(axis="both", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("cylstm is faster to the right of 1")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
