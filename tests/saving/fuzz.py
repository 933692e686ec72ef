"""Mutated files of every reader: each loads or is refused, and nothing else.

    python tests/saving/fuzz.py hdf5 20000 [--seed 1]
    python tests/saving/fuzz.py all 20000

prints how many loaded and how many were refused; it fails at the first other exception, at a file
that takes more than a second, where memory grows by more than 64 MB, and where code is compiled,
run or imported. The readers: hdf5, weights, keras3, tree, npz, json, torch, stream, safetensors;
and outlines, which looks at files of all of them and of ONNX as `python -m cylstm inspect` does.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import numpy.ma  # noqa: F401  what NumPy itself imports on first use
from keras_files import unpacked

import cylstm.cli
from cylstm.layers import LSTM, Dense
from cylstm.models import load_model
from cylstm.saving import FormatError

SLOWEST = 1.0  # seconds
MOST_MEMORY = 64  # MB beyond what the unchanged files take
NAME = "mutated"
NUMBERS = [0, 1, 2, 7, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1]
FORBIDDEN = (
    "exec",
    "compile",
    "import",
    "marshal.",
    "pickle.",
    "os.system",
    "subprocess.",
    "ctypes.",
)
WORDS = [b"null", b"true", b"-1", b"0", b"1e9", b"99999999999999", b"[]", b"{}", b'""', b'"x"']


def mutated(data: bytes, draw: random.Random) -> bytes:
    """A copy with one to four changes of bytes."""
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        at = draw.randrange(len(changed)) if changed else 0
        kind = draw.randrange(7)
        if kind == 0 and changed:
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[at : at + 1] = bytes([draw.choice([0, 255, draw.randrange(256)])])
        elif kind == 2:
            width = draw.choice([2, 4, 8])
            number = (draw.choice(NUMBERS) + draw.choice([-1, 0, 1])) % 256**width
            changed[at : at + width] = number.to_bytes(width, "little")
        elif kind == 3:
            del changed[at : at + draw.choice([1, 8, 100])]
        elif kind == 4:
            changed[at:at] = bytes(draw.randrange(256) for _ in range(draw.choice([1, 8])))
        elif kind == 5:
            other = draw.randrange(len(changed)) if changed else 0
            changed[at : at + 16] = changed[other : other + 16]
        else:
            del changed[draw.choice([at, len(changed) - 1]) :]
    return bytes(changed)


def misspelt(text: bytes, draw: random.Random) -> bytes:
    """JSON with one to three values, names or marks replaced."""
    for _ in range(draw.choice([1, 1, 2, 3])):
        marks = [i for i, c in enumerate(text) if c in b':,[{"']
        at = draw.choice(marks) + 1 if marks else 0
        end = at
        while end < len(text) and text[end] not in b',:]}"':
            end += 1
        text = text[:at] + draw.choice([*WORDS, text[at:end] * 2, b""]) + text[end:]
    return text


def within_hdf5(data: bytes, draw: random.Random) -> bytes:
    """A file whose architecture or training is misspelt, at the same length, or mutated."""
    if draw.random() < 0.6:
        return mutated(data, draw)
    start = data.find(b'{"')
    end = data.find(b"\0", start)
    text = misspelt(data[start:end], draw)[: end - start]
    return data[:start] + text.ljust(end - start) + data[end:]


def within_archive(data: bytes, draw: random.Random) -> bytes:
    """An archive with a member changed, whose checksum is right again; or mutated itself."""
    if draw.random() < 0.3:
        return mutated(data, draw)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        chosen = draw.choice(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            if name == chosen:
                content = (misspelt if name.endswith(".json") else mutated)(content, draw)
            new.writestr(name, content)
    return buffer.getvalue()


def model() -> cylstm.Model:
    """What the weights of TensorFlow 1.4's `plain` fit."""
    return cylstm.Sequential([LSTM(5, input_shape=(7, 3)), Dense(2)])


def loads(path: Path) -> None:
    load_model(path)


def loads_weights(path: Path) -> None:
    model().load_weights(path)


def loads_modules(path: Path) -> None:
    """Read tensors, and make layers of those that are of modules of PyTorch."""
    state = cylstm.saving.load_tensors(path)
    with suppress(ValueError):
        cylstm.from_torch(state)


def outlines(path: Path) -> None:
    """Look at a file from the command line, as text and for programs."""
    for options in ([], ["--json"]):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
            status = cylstm.cli.main(["inspect", *options, str(path)])
        if status:
            raise FormatError(said.getvalue())
        lines = said.getvalue().splitlines()
        assert all(line.startswith("cylstm: warning: ") for line in lines), lines


def after_its_kind(data: bytes, draw: random.Random) -> bytes:
    """A file changed as those of its container are."""
    kinds = {b"PK": within_archive, b"\x89HDF": within_hdf5, b"{": misspelt}
    found = [change for magic, change in kinds.items() if data.startswith(magic)]
    return (found[0] if found else mutated)(data, draw)


Change = Callable[[bytes, random.Random], bytes]

# Names of files in tests/data/torch, and how they are changed.
TORCH: dict[str, tuple[list[str], Change]] = {
    "torch": (["views.pt", "checkpoint.pt", "modules_protocol_4.pt"], within_archive),
    "stream": (["views_legacy.pt", "checkpoint_legacy.pth"], mutated),
    "safetensors": (["views.safetensors", "modules.safetensors"], mutated),
}


def sources(reader: str) -> tuple[list[bytes], str, Change, Callable[[Path], None]]:
    """Unchanged files, their suffix, how they are changed and how they are read."""
    files: list[Path]
    if reader in TORCH:
        of_torch, change = TORCH[reader]
        files = [Path(__file__).parents[1] / "data" / "torch" / name for name in of_torch]
        suffix = ".safetensors" if reader == "safetensors" else ".pt"
        return [f.read_bytes() for f in files], suffix, change, loads_modules
    if reader == "outlines":
        kinds = ["hdf5", "tree", "keras3", "npz", "json", *TORCH]
        every = [data for kind in kinds for data in sources(kind)[0]]
        graphs = Path(__file__).parents[1] / "data" / "onnx"
        every += [path.read_bytes() for path in sorted(graphs.glob("*.onnx"))[::5]]
        return every, ".bin", after_its_kind, outlines
    if reader == "hdf5":
        names = {"tf_1_4": "plain", "keras1": "old_graph", "tf_keras": "nested", "keras3": "stack"}
        files = [unpacked(origin) / f"{name}.h5" for origin, name in names.items()]
        return [f.read_bytes() for f in files], ".h5", within_hdf5, loads
    if reader == "weights":
        return (
            [(unpacked("tf_1_4") / "plain.weights.h5").read_bytes()],
            ".h5",
            mutated,
            loads_weights,
        )
    if reader == "keras3":
        names = {"tf_keras": "stack", "keras3": "translator"}
        files = [unpacked(origin) / f"{name}.keras" for origin, name in names.items()]
        return [f.read_bytes() for f in files], ".keras", within_archive, loads
    if reader == "json":
        text = (unpacked("tf_1_4") / "encoder_decoder.json").read_bytes()
        return [text], ".json", misspelt, loads
    suffix = {"tree": ".weights.h5", "npz": ".npz"}[reader]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"w{suffix}")
        model().save_weights(path)
        change = mutated if reader == "tree" else within_archive
        return [path.read_bytes()], suffix, change, loads_weights


READERS = ("hdf5", "weights", "keras3", "tree", "npz", "json", *TORCH, "outlines")


def memory() -> float:
    """The most that was ever used, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(reader: str, count: int, seed: int, folder: Path) -> dict[str, int]:
    """Read so many mutated files.

    Raises
    ------
    AssertionError
        If one is neither loaded nor refused, or takes too long or too much, or runs code.
    """
    originals, suffix, change, read = sources(reader)
    path = folder / f"{NAME}{suffix}"
    for original in originals:
        path.write_bytes(original)
        read(path)  # once as it is: whatever is imported on first use is
    base = memory()
    events = list(watched())
    draw = random.Random(seed)
    found = {"loaded": 0, "refused": 0}
    for number in range(count):
        data = change(draw.choice(originals), draw)
        path.write_bytes(data)
        events.clear()
        WATCH.append(events)
        start = time.process_time()
        try:
            read(path)
            found["loaded"] += 1
        except FormatError:
            found["refused"] += 1
        except ValueError as error:  # weights that do not fit the model
            if not str(error).startswith("Cannot load the weights"):
                raise AssertionError(f"{reader} {number}: {error}") from error
            found["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{reader} {number}: {type(error).__name__}: {error}") from error
        finally:
            WATCH.clear()
        took = time.process_time() - start
        assert took < SLOWEST, f"{reader} {number} takes {took:.1f} s"
        assert not events, f"{reader} {number}: {events[:3]}"
        assert memory() - base < MOST_MEMORY, f"{reader} {number} takes {memory() - base:.0f} MB"
    return found


WATCH: list[list[str]] = []


def watched() -> Iterator[str]:
    """From now on, note the events that say that code is run, while something listens."""
    if not getattr(watched, "hooked", False):
        sys.addaudithook(_hook)
        watched.hooked = True  # type: ignore[attr-defined]
    return iter(())


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not WATCH:
        return
    other = event == "open" and f"{os.sep}{NAME}." not in str(args[0])
    if other or event.startswith(FORBIDDEN):
        WATCH[-1].append(f"{event} {args!r:.200}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reader", choices=[*READERS, "all"])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for reader in READERS if args.reader == "all" else [args.reader]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            found = run(reader, args.count, args.seed, Path(folder))
            print(reader, found, f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
