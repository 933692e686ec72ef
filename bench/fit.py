"""Whole jobs: how long cylstm takes for what its users do, beside Keras 3 and PyTorch.

    python bench/fit.py [--threads 1,2] [--jobs "forecaster,predict one"] [--whole] [--json FILE]
    python bench/fit.py --profile [--threads 1]
    python bench/fit.py --load FILE ...

Each library lives in a process of its own, and they take turns, job by job. `jobs.py` says what the
models are; weights, batches and arithmetic (sigmoid gates, Adam) are the same, and outputs after
some updates must agree before anything is timed. Times are medians:

- text classifier, forecaster, tagger: an epoch of `fit`, of a plain loop in PyTorch; of the text
  classifier and the tagger 100 batches of it, with `--whole` all;
- predict: the outputs of 3,200 sequences in batches of 32, with `--whole` of 25,000;
- predict one: those of a single sequence;
- first prediction: from the start of a process that builds the text classifier to its end;
- script: likewise, of a script of `scripts/` that trains it for `--epochs`.

`--profile` prints instead which part of an epoch cylstm spends where; the exit status is then 1 if
more than 15 % is outside the LSTM's kernels.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine, peers
from bench.fit_profile import profile
from bench.jobs import jobs
from bench.runner import PeerProcess, Settings, environment, thread_environment, time_case

SCRIPTS = Path(__file__).with_name("scripts")
NAMES = {
    "cylstm": "fit_cylstm",
    "torch": "fit_torch",
    "torch fused": "fit_torch@fused",
    "keras on tensorflow": "fit_keras@tensorflow",
    "keras on torch": "fit_keras@torch",
    "keras on jax": "fit_keras@jax",
}
"""What is compared, and the peer. PyTorch with `Adam(..., fused=True)` runs epochs only, and stands
beside the plain loop without being counted."""

PROCESSES = {"first prediction": 0, "script": None}
ASKED, ASKED_MEAN = 1.5, 2.0


def time_jobs(names: list[str], chosen: list[str], threads: int, options: Any) -> dict[str, Any]:
    """Time the jobs within processes: for each job what `runner.time_case` finds."""
    settings = Settings(options.rounds, round_seconds=0.2, warm_seconds=0.2)
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = {}
        for name in names:
            workers[name] = PeerProcess(NAMES[name], threads, machine.cpus_for(threads))
            stack.callback(workers[name].close)
            workers[name].start()
        for title, job in jobs(options.whole).items():
            if title not in chosen:
                continue
            able = {n: w for n, w in workers.items() if "fused" not in n or job.kind == "fit"}
            say(f"{title}, {threads} thread(s): {job.rows} sequences")
            found[title] = time_case(job, able, settings)
    return found


def time_processes(names: list[str], epochs: int, threads: int, rounds: int) -> dict[str, Any]:
    """Time whole scripts, in turns, from the start of the process to its end."""
    times: dict[str, list[float]] = {name: [] for name in names if "fused" not in name}
    for number in range(rounds + 1 if not epochs else rounds):
        for name in times:
            module, _, backend = NAMES[name].partition("@")
            script = SCRIPTS / f"text_{module.removeprefix('fit_')}.py"
            variables = thread_environment(threads) | peers.load(NAMES[name]).environment(threads)
            variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
            command = [sys.executable, str(script), str(epochs), str(threads)]
            cpus = machine.cpus_for(threads)
            with environment(variables):
                start = time.perf_counter()
                done = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    check=False,
                    preexec_fn=(lambda cpus=cpus: os.sched_setaffinity(0, cpus)) if cpus else None,
                )
                spent = time.perf_counter() - start
            if done.returncode:
                raise SystemExit(f"{script} for {name} failed:\n{done.stderr}")
            if number or epochs:  # the first round only fills the system's caches
                times[name].append(spent)
            say(f"{'script' if epochs else 'first prediction'}, {name}: {spent:.2f} s")
    return {name: {"seconds": statistics.median(t), "rounds": t} for name, t in times.items()}


def measure(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """All that was asked for: by number of threads, job and library."""
    rows: dict[str, Any] = {}
    for threads in options.threads:
        found = time_jobs(names, options.jobs, threads, options)
        for title, fixed in PROCESSES.items():
            if title in options.jobs:
                epochs = options.epochs if fixed is None else fixed
                rounds = options.rounds if fixed == 0 else options.script_rounds
                found[title] = time_processes(names, epochs, threads, rounds)
        rows[str(threads)] = found
    return rows


def ratios(rows: dict[str, Any]) -> dict[str, tuple[str, float]]:
    """For each job and number of threads the best other library, and its time to cylstm's."""
    found = {}
    for threads, by_job in rows.items():
        for title, by_name in by_job.items():
            times = {
                name: entry["seconds"]
                for name, entry in by_name.items()
                if "seconds" in entry and "fused" not in name
            }
            own = times.pop("cylstm", None)
            if own is not None and times:
                best = min(times, key=lambda name: times[name])
                found[f"{title}, {threads}"] = (best, times[best] / own)
    return found


def text(result: dict[str, Any]) -> str:
    """A Markdown table of each number of threads, and the ratios."""
    about = result["machine"]
    lines = [f"{about['cpu']}, {about['system']}, kernels for {result['isa']}; {result['date']}."]
    best = ratios(result["rows"])
    for threads, by_job in result["rows"].items():
        names = [n for n in NAMES if any(n in by_name for by_name in by_job.values())]
        lines += ["", f"Seconds, {threads} thread{'s' * (threads != '1')}:", ""]
        lines.append(f"| | {' | '.join(names)} | best other / cylstm |")
        lines.append(f"| --- |{' ---: |' * (len(names) + 1)}")
        for title, by_name in by_job.items():
            cells = [_cell(by_name.get(name, {})) for name in names]
            ratio = best.get(f"{title}, {threads}")
            cells.append(f"{ratio[1]:.2f}" if ratio else "")
            lines.append(f"| {title} | {' | '.join(cells)} |")
    if best:
        values = [value for _, value in best.values()]
        mean = math.exp(statistics.mean(map(math.log, values)))
        lines += ["", f"Least {min(values):.2f} (asked {ASKED}), geometric mean {mean:.2f} "
                  f"(asked {ASKED_MEAN})."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _cell(entry: dict[str, Any]) -> str:
    if "seconds" in entry:
        return f"{entry['seconds']:.3g}"
    return entry.get("failed", entry.get("skipped", ""))


def say(line: str) -> None:
    """Show progress, apart from the table."""
    print(line, file=sys.stderr, flush=True)


def arguments_of() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    titles = [*jobs(False), *PROCESSES]
    parser.add_argument("--threads", default="1", help="such as 1,2")
    parser.add_argument("--jobs", default=",".join(titles), help="by default all")
    parser.add_argument("--peers", help=f"by default all: {','.join(NAMES)}")
    parser.add_argument("--whole", action="store_true", help="whole epochs, all predictions")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="of the script")
    parser.add_argument("--script-rounds", type=int, default=1, help="how often it runs")
    parser.add_argument("--json", type=Path, help="add what is measured to this file")
    parser.add_argument("--load", type=Path, help="print the tables of a file; measure nothing")
    parser.add_argument("--profile", action="store_true", help="where cylstm's time goes")
    options = parser.parse_args()
    options.threads = [int(word) for word in options.threads.split(",")]
    options.jobs = [word.strip() for word in options.jobs.split(",")]
    if unknown := [title for title in options.jobs if title not in titles]:
        parser.error(f"unknown jobs {unknown}; choose from {', '.join(titles)}")
    return options


def main() -> int:
    """Do what the options say."""
    options = arguments_of()
    if options.profile:
        shares = [profile(title, threads) for threads in options.threads
                  for title in options.jobs if title in jobs(False)]  # fmt: skip
        return int(max(shares) > 0.15)
    if options.load is not None:
        result = json.loads(options.load.read_text())
        print(text(result), end="")
        return 0
    wanted = options.peers.split(",") if options.peers is not None else list(NAMES)
    names = []
    for name in wanted:
        gone = peers.missing(peers.load(NAMES[name]))
        if gone:
            say(f"skipped {name}: not installed ({', '.join(gone)})")
        else:
            names.append(name)
    from cylstm import _core

    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "isa": _core.isa(),
        "rows": {},
    }
    if options.json is not None and options.json.exists():
        result["rows"] = json.loads(options.json.read_text())["rows"]
    for threads, by_job in measure(names, options).items():
        for title, by_name in by_job.items():
            result["rows"].setdefault(threads, {}).setdefault(title, {}).update(by_name)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(text(result), end="")
    values = [value for _, value in ratios(result["rows"]).values()]
    return int(not values or min(values) < ASKED)


if __name__ == "__main__":
    raise SystemExit(main())
