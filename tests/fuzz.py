"""Feed readers of files with mutated ones: each must load, or raise FormatError, soon and cheaply.

    python tests/fuzz.py torch --files 20000

`run` is what the tests call with fewer files. A reader is a line in `READERS`: what reads a path,
and seeds, which are the bytes that are mutated and what makes a file of them. So the inside of an
archive can be mutated and still have the right checksums.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import cylstm
from cylstm.saving import FormatError

DATA = Path(__file__).parent / "data"
SECONDS = 1.0  # a file
MEMORY = 2**26  # bytes above the base
FORBIDDEN = (
    "compile", "ctypes", "exec", "import", "marshal", "os.", "pickle", "shutil", "socket",
    "subprocess", "code.", "cpython.", "webbrowser",
)  # fmt: skip


class Seed(NamedTuple):
    """What is mutated, and how it becomes a file."""

    data: bytes
    wrap: Callable[[bytes], bytes]


class Reader(NamedTuple):
    """What reads a file, and the seeds for it."""

    read: Callable[[Path], Any]
    seeds: Callable[[], list[Seed]]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Change a few places: bits, bytes, integers, pieces that go, come twice or come elsewhere."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        place = draw.randrange(len(found) + 1)
        length = draw.choice((1, 1, 2, 4, 8, 64))
        kind = draw.randrange(7)
        if kind == 0 and place < len(found):
            found[place] ^= 1 << draw.randrange(8)
        elif kind == 1 and place < len(found):
            found[place] = draw.randrange(256)
        elif kind == 2:
            number = draw.choice((0, 1, 255, 2**15, 2**31 - 1, 2**31, 2**63 - 1, 2**64 - 1))
            size = draw.choice((1, 2, 4, 8))
            found[place : place + size] = (number % 256**size).to_bytes(size, "little")
        elif kind == 3:
            del found[place : place + length]
        elif kind == 4:
            found[place:place] = found[place : place + length]
        elif kind == 5:
            other = draw.randrange(len(found) + 1)
            found[place : place + length] = found[other : other + length]
        elif draw.random() < 0.2:
            del found[place:]
    return bytes(found)


class Watch:
    """Notes what of the interpreter is used, while `active`, that no reader may use."""

    def __init__(self) -> None:
        self.active = False
        self.events: list[str] = []
        sys.addaudithook(self._note)  # for good: there is no way to take one away

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.active and (event.startswith(FORBIDDEN) or is_written(event, arguments)):
            self.events.append(f"{event} {arguments!r:.200}")


def is_written(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a file is opened for anything but reading."""
    return event == "open" and arguments[1] not in ("r", "rb", None)


@contextmanager
def alarmed() -> Iterator[None]:
    """Raise TimeoutError in what takes longer than `SECONDS`."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(name: str, files: int, seed: int, folder: Path) -> Counter[str]:
    """Read mutated files; return how many were loaded and refused.

    AssertionError names the file that ended in anything else, which is kept in the folder.
    """
    reader, draw, counts = READERS[name], random.Random(seed), Counter[str]()
    seeds = reader.seeds()
    path, watch = folder / "fuzzed", Watch()
    for one in seeds:  # what is imported when first used is imported now
        path.write_bytes(one.wrap(one.data))
        reader.read(path)
    base = peak()
    for number in range(files):
        one = draw.choice(seeds)
        data = one.wrap(mutated(one.data, draw))
        path.write_bytes(data)
        outcome = "loaded"
        watch.active = True
        try:
            with alarmed():
                reader.read(path)
        except FormatError:
            outcome = "refused"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        watch.active = False
        counts[outcome] += 1
        if outcome not in ("loaded", "refused") or watch.events or peak() - base > MEMORY:
            kept = folder / f"{name}-{seed}-{number}"
            kept.write_bytes(data)
            raise AssertionError(f"{kept}: {outcome}, {watch.events[:3]}, {peak() - base} bytes")
    return counts


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ---------------------------------------------------------------------- seeds


def as_it_is(data: bytes) -> bytes:
    return data


def whole(*names: str) -> list[Seed]:
    """Files of tests/data, mutated as a whole."""
    return [Seed((DATA / name).read_bytes(), as_it_is) for name in names]


def inside(name: str, member: str) -> Seed:
    """One entry of a zip archive of tests/data; the others stay, and checksums are right."""
    with zipfile.ZipFile(DATA / name) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}

    def wrap(data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for entry, content in entries.items():
                archive.writestr(entry, data if entry == member else content)
        return file.getvalue()

    return Seed(entries[member], wrap)


def torch_seeds() -> list[Seed]:
    return [
        *whole("torch/views.pt", "torch/views_legacy.pt", "torch/checkpoint_legacy.pth"),
        inside("torch/views.pt", "views/data.pkl"),
        inside("torch/checkpoint.pt", "checkpoint/data.pkl"),
        inside("torch/modules_protocol_4.pt", "modules_protocol_4/data.pkl"),
    ]


def safetensors_seeds() -> list[Seed]:
    return whole("torch/views.safetensors", "torch/modules.safetensors")


def read_modules(path: Path) -> None:
    """Read tensors, and make layers of those that are of modules."""
    state = cylstm.saving.load_tensors(path)
    with suppress(ValueError):
        cylstm.from_torch(state)


READERS = {
    "torch": Reader(read_modules, torch_seeds),
    "safetensors": Reader(read_modules, safetensors_seeds),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Feed a reader of files with mutated ones.")
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.monotonic()
    counts = run(options.reader, options.files, options.seed, Path(tempfile.mkdtemp()))
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    print(f"{options.reader}: {said}, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
