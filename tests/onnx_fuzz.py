"""Feeds mutated ONNX files to the reader: each must give a model or a FormatError, soon.

    python tests/onnx_fuzz.py 20000          # the long run, some ten minutes
    python tests/onnx_fuzz.py 20000 --seed 5

It prints one line of JSON: how many files were loaded and refused, the longest time of one, how
much memory was taken beyond that of the first files, and what was wrong, if anything.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

FILES = Path(__file__).resolve().parent / "data" / "onnx"
SECONDS = 1.0
FORBIDDEN = ("exec", "compile", "import", "marshal.loads", "pickle.find_class", "os.system",
             "subprocess.Popen", "socket.connect", "ctypes.dlopen")  # fmt: skip


def varint(value):
    pieces = bytearray()
    value &= 2**64 - 1
    while value >= 0x80:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*pieces, value])


def mutated(data, others, chance):
    """A file with a few changes: bits, bytes, numbers, parts left out, doubled or of another."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(9)
        length = chance.choice((1, 2, 4, 16, 64))
        if kind == 0 and place < len(data):
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1 and place < len(data):
            data[place] = chance.randrange(256)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif kind == 4:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[place : place + length] = other[start : start + length]
        elif kind == 5:
            number = chance.choice((0, 1, 2, 127, 2**31 - 1, 2**31, 2**40, 2**63, -1, -(2**31)))
            data[place : place + chance.randrange(3)] = varint(number)
        elif kind == 6:
            del data[place:]
        elif kind == 7:
            data[place : place + length] = chance.randbytes(length)
        elif place < len(data):  # letters stay letters: names of operators and values
            found = [i for i in range(len(data)) if 48 < data[i] < 123]
            if found:
                data[chance.choice(found)] = data[chance.choice(found)]
        if not data:
            data = bytearray(b"\x08")
    return bytes(data)


NUMBERS = (0, 1, 2, 3, 7, 127, 4096, 2**31 - 1, 2**31, 2**40, 2**62, -1, -2, -(2**31), -(2**62))


def parts_of(message):
    """Every message within a message, itself included."""
    found = [message]
    for value in vars(message).values():
        for entry in value if isinstance(value, list) else [value]:
            if hasattr(entry, "encoded"):
                found += parts_of(entry)
    return found


def restructured(data, chance):
    """A file with a few changes to what it says, encoded as it should be."""
    from cylstm.saving._onnx._document import decode

    document = decode(data)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        messages = parts_of(document)
        texts = [v for m in messages for v in vars(m).values() if isinstance(v, str)]
        texts += [v for m in messages for v in getattr(m, "input", []) if isinstance(v, str)]
        message = chance.choice(messages)
        name = chance.choice(list(vars(message)))
        value = getattr(message, name)
        if isinstance(value, list) and value:
            place = chance.randrange(len(value))
            kind = chance.randrange(4)
            if kind == 0:
                del value[place]
            elif kind == 1:
                value.insert(chance.randrange(len(value) + 1), value[place])
            elif kind == 2:
                chance.shuffle(value)
            else:
                value[place] = another(value[place], texts, chance)
        elif value is not None and not isinstance(value, list):
            setattr(message, name, another(value, texts, chance))
    return document.encoded()


def another(value, texts, chance):
    """A value of the same kind."""
    if isinstance(value, int):
        return chance.choice((*NUMBERS, value + 1, value - 1, 2 * value % 2**62))
    if isinstance(value, float):
        return chance.choice((0.0, -1.0, 1e30, float("nan"), float("inf"), value / 2))
    if isinstance(value, str):
        return chance.choice(texts)
    if isinstance(value, memoryview | bytes):
        data = bytearray(value)
        chance.choice((data.reverse, data.clear, data.pop if data else data.clear))()
        return bytes(data)
    return value


def run(count, seed):
    """The outcome of so many files, as a dict."""
    from cylstm.models import load_model
    from cylstm.saving import FormatError

    warnings.simplefilter("ignore")
    chance = random.Random(seed)
    originals = [p.read_bytes() for p in sorted(FILES.glob("*.onnx"))]
    found = {"loaded": 0, "refused": 0, "slowest": 0.0, "events": [], "wrong": []}
    watching = False

    def watch(event, arguments):
        if watching and event in FORBIDDEN:
            found["events"].append(event)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutated.onnx")
        for data in originals:  # what is loaded late is loaded now
            path.write_bytes(data)
            load_model(path)
        sys.addaudithook(watch)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            if chance.random() < 0.5:
                data = mutated(chance.choice(originals), originals, chance)
            else:
                data = restructured(chance.choice(originals), chance)
            path.write_bytes(data)
            watching, start = True, time.process_time()
            try:
                load_model(path)
                found["loaded"] += 1
            except FormatError:
                found["refused"] += 1
            except Exception as error:
                found["wrong"].append(f"{number}: {type(error).__name__}: {error}"[:200])
            watching, taken = False, time.process_time() - start
            found["slowest"] = max(found["slowest"], taken)
            if taken > SECONDS:
                found["wrong"].append(f"{number}: took {taken:.1f} s")
    found["grown"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(run(options.count, options.seed)))


if __name__ == "__main__":
    main()
