"""The command line: ``python -m bench --help``."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import machine, peers, report
from bench.peers.base import Unsupported
from bench.peers.cylstm import instruction_sets, prefer_the_installed_package
from bench.problems import MODES, Case, Shape, plan
from bench.runner import (
    PeerFailed,
    PeerProcess,
    Settings,
    environment,
    thread_environment,
    time_case,
)

DTYPES, LENGTHS = ("float32", "float64"), ("full", "ragged")
QUICK = Settings(rounds=3, round_seconds=0.01, warm_seconds=0.02)


def listed(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a reader of words with commas between them, each of the allowed ones."""

    def read(words: str) -> list[str]:
        found = list(dict.fromkeys(word.strip() for word in words.split(",")))
        if unknown := [word for word in found if word not in allowed]:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; choose from {', '.join(allowed)}"
            )
        return found

    return read


def shape(word: str) -> Shape:
    """Read a shape."""
    try:
        return Shape.parse(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def counts(words: str) -> list[int]:
    """Read numbers of threads."""
    try:
        found = list(dict.fromkeys(int(word) for word in words.split(",")))
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"expected positive numbers such as 1,2; got {words!r}")
    try:
        for count in found:
            machine.cpus_for(count)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return found


def positive(word: str) -> int:
    """Read a positive integer."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {word!r}")
    return int(word)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Time cylstm and the other LSTM libraries that are installed, on the same "
        "weights and inputs. Without options, everything: see bench/README.md.",
    )
    add = made.add_argument
    add("--shapes", nargs="+", type=shape, metavar="B,T,D,U", help="batch, steps, inputs, units")
    add("--mode", type=listed(MODES), default=list(MODES), help="step,forward,train")
    add("--dtype", type=listed(DTYPES), help="float32,float64 (with --shapes or --quick: float32)")
    add("--threads", type=counts, help="such as 1,2 (default: 1, and 2 if there are as many CPUs)")
    add(
        "--isa",
        choices=list(machine.TARGETS),
        help="the instruction set that all are held to (default: the best of this CPU)",
    )
    add("--peers", type=listed(peers.NAMES), default=peers.NAMES, help="besides cylstm")
    add(
        "--lengths",
        type=listed(LENGTHS),
        nargs="?",
        const=["ragged"],
        help="full,ragged: sequences of all the steps, or of a fifth to all; alone: ragged (with "
        "--shapes or --quick: full)",
    )
    add("--rounds", type=positive, help=f"default {Settings.rounds}; with --quick {QUICK.rounds}")
    add("--quick", action="store_true", help="few shapes, short rounds, one thread")
    add("--json", type=Path, metavar="FILE", help="write all that was measured")
    add("--plot", type=Path, metavar="DIR", help="draw the ratios (needs matplotlib)")
    add("--load", type=Path, metavar="FILE", help="report on a file of --json; measure nothing")
    return made


def read(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the options, and refuse now what would fail only after a long run."""
    options_parser = parser()
    options = options_parser.parse_args(arguments)
    if options.plot is not None and find_spec("matplotlib") is None:
        options_parser.error("--plot needs matplotlib; it is not installed")
    if options.json is not None and not options.json.parent.is_dir():
        options_parser.error(f"--json: there is no folder {options.json.parent}")
    if options.isa is not None and options.load is None:
        try:
            available = instruction_sets()
        except Exception as error:
            options_parser.error(f"--isa: cylstm cannot be asked what this CPU has: {error}")
        if options.isa not in available:
            options_parser.error(
                f"--isa {options.isa}: this CPU runs {', '.join(available)}; choose one of these"
            )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 1 if something failed or results disagree."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = read(arguments)
    if options.load is not None:
        result = json.loads(options.load.read_text())
    else:
        command = shlex.join(["python", "-m", "bench", *arguments])
        result = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "command": command,
            **measure(options),
        }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1))
    print(report.text(result), end="")
    if options.plot is not None:
        for file in report.plot(result, options.plot):
            say(f"wrote {file}")
    return 1 if report.failures(result) else 0


def say(line: str) -> None:
    """Show progress, apart from the report."""
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All that is measured, as `bench.report` describes it. Ctrl-C ends it early."""
    chosen = options.shapes is not None or options.quick
    dtypes = options.dtype or (["float32"] if chosen else list(DTYPES))
    lengths = options.lengths or (["full"] if chosen else list(LENGTHS))
    threads = options.threads or [1, *([2] if len(machine.usable_cpus()) > 1 else [])]
    if options.quick and not options.threads:
        threads = [1]
    settings = QUICK if options.quick else Settings()
    settings = replace(settings, rounds=options.rounds or settings.rounds)
    ragged = [kind == "ragged" for kind in lengths]
    cases = plan(options.mode, dtypes, ragged, options.shapes, options.quick)

    prefer_the_installed_package()
    names = list(dict.fromkeys(["cylstm", *options.peers]))
    missing = {name: gone for name in names if (gone := peers.missing(peers.load(name)))}
    for name, modules in missing.items():
        say(f"skipped {name}: not installed ({', '.join(modules)})")
    result: dict[str, Any] = {
        "machine": machine.describe(),
        "settings": asdict(settings),
        "missing": list(missing),
        "isa": instruction_set(options.isa),
        "peaks": None,
        "peers": {},
        "rows": [],
    }
    names = [name for name in names if name not in missing]
    try:
        result["peaks"] = peaks(threads, dtypes, options.isa)
        for count in threads:
            time_cases(result, cases, names, count, settings)
    except KeyboardInterrupt:
        say("interrupted: the report has what was measured until now")
    return result


def instruction_set(asked: str | None) -> dict[str, Any]:
    """What the CPU has, which was asked for, and whether peers must be held to that."""
    try:
        available = instruction_sets()
    except Exception:  # its worker will say why cylstm cannot be loaded
        available = []
    return {"available": available, "asked": asked, "held": asked not in (None, *available[-1:])}


def peaks(threads: list[int], dtypes: list[str], isa: str | None) -> dict[str, Any]:
    """What the machine can do."""
    with measuring(isa) as pool:
        return dict(pool.apply(machine.measure, (threads, dtypes, isa)))


def measuring(isa: str | None) -> Any:
    """A process for measurements of the machine, whose BLAS has one thread and is held."""
    variables = thread_environment(1)
    if isa is not None:
        variables["OPENBLAS_CORETYPE"] = machine.BLAS_CORES[isa]
    with environment(variables):
        return multiprocessing.get_context("spawn").Pool(1)


def time_cases(
    result: dict[str, Any], cases: list[Case], names: list[str], threads: int, settings: Settings
) -> None:
    """Start the peers with that many threads, and add the row of each case to the result."""
    described, isa = result["peers"].setdefault(str(threads), {}), result["isa"]
    with ExitStack() as stack:
        pool = stack.enter_context(measuring(isa["asked"])) if result["peaks"] else None
        workers = {}
        for name in names:
            # cylstm is told in any case: CYLSTM_ISA may be set to something else.
            held_to = isa["asked"] if isa["held"] or name == "cylstm" else None
            worker = PeerProcess(name, threads, machine.cpus_for(threads), held_to)
            stack.callback(worker.close)
            try:
                worker.start()
            except Unsupported as reason:
                described[name] = {"left_out": str(reason)}
                say(f"left out {name}, not held to {held_to}: {reason}")
                continue
            except PeerFailed as error:
                described[name] = {"failed": str(error)}
                say(f"skipped {name}: {error}")
                continue
            described[name] = worker.description
            workers[name] = worker
        for number, case in enumerate(cases, 1):
            rates: list[float] = []
            found = time_case(case, workers, settings, peak_meter(pool, case, threads, isa, rates))
            row = report.make_row(case, threads, found, rates)
            result["rows"].append(row)
            say(f"{number}/{len(cases)}, {threads} thread(s): {case}: {report.one_line(row)}")


def peak_meter(
    pool: Any, case: Case, threads: int, isa: dict[str, Any], rates: list[float]
) -> Callable[[], None] | None:
    """What adds the peak at this moment to the rates; None where peaks are not measured."""
    if pool is None:
        return None
    arguments = (threads, case.dtype, isa["asked"])
    return lambda: rates.append(pool.apply(machine.rate_now, arguments))


if __name__ == "__main__":
    sys.exit(main())
