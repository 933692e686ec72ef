"""What a hostile file costs who loads it: time and memory of each kind, until it is refused.

    python bench/hostile_files.py [--limit-ms 100] [--limit-mb 64] [name ...]

Each file is small, but describes something large or much. It is loaded in a process of its own
that has loaded a good file before; the time is that of its processor, the memory how much its peak
grew. Prints a line for each, and returns 1 if one is above a limit or was neither refused nor
expected to load.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FILES", "entry", "file_of", "functional", "sequential"]

LIMIT_MS, LIMIT_MB = 100.0, 64.0
TIMEOUT, ADDRESS_SPACE = 30, 6 << 30

# The only program that loads: prints milliseconds, megabytes and what came of it.
PROGRAM = """
import resource, sys, time
from pathlib import Path
from cylstm.models import load_model

unit = 1 if sys.platform == "darwin" else 1024


def peak():
    try:  # a new process of Linux inherits the other number
        return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    except OSError:
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]),) * 2)
load_model(sys.argv[1])
before = peak()
start = time.process_time()
try:
    load_model(sys.argv[2])
    outcome = "loaded"
except Exception as error:
    outcome = f"{type(error).__name__}: {error}"
seconds = time.process_time() - start
print(1e3 * seconds, (peak() - before) / 2**20, outcome.replace("\\n", " ")[:300])
"""

# ---------------------------------------------------------------------- files


def file_of(
    model: Any,
    tensors: dict[str, np.ndarray] | None = None,
    layers: list[Any] | None = None,
    training: Any = None,
    change: Callable[[str], str] = str,
    **more: Any,
) -> bytes:
    """A file with right digests; `change` gets its description as text, without the last one."""
    tensors = tensors or {}
    document = {
        "format": 1,
        "cylstm": "0",
        "model": model,
        "layers": layers or [],
        "training": training,
        "digests": {
            name: digest(f"{a.dtype.name} {a.shape}".encode() + a.tobytes())
            for name, a in tensors.items()
        },
        **more,
    }
    text = change(json.dumps(document, separators=(",", ":")))
    text = f'{text[:-1]},"digest":"{digest(text.encode())}"}}'
    header: dict[str, Any] = {"__metadata__": {"cylstm": text}}
    place = 0
    for name, array in tensors.items():
        end = place + array.nbytes
        code = {"float32": "F32", "float64": "F64", "int64": "I64"}[array.dtype.name]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [place, end]}
        place = end
    return with_header(json.dumps(header), b"".join(a.tobytes() for a in tensors.values()))


def with_header(text: str, data: bytes = b"") -> bytes:
    """A file with any text for a header."""
    return struct.pack("<Q", len(text.encode())) + text.encode() + data


def digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def entry(class_name: str, /, **config: Any) -> dict[str, Any]:
    """A layer, or anything else that has a class and a config."""
    return {"class_name": class_name, "config": config}


def sequential(*layers: Any, shape: Any = (None, None, 3)) -> dict[str, Any]:
    """The description of a stack."""
    return entry("Sequential") | {
        "config": list(layers),
        "name": "m",
        "input_shapes": [list(shape)],
    }


def functional(layers: list[Any], outputs: list[Any], shape: Any = (None, 3)) -> dict[str, Any]:
    """The description of a graph; of a layer and its calls each."""
    made = [
        e | {"name": e["config"]["name"], "inbound_nodes": calls}
        for e, calls in [(entry("InputLayer", name="x", batch_input_shape=shape), []), *layers]
    ]
    config = {
        "name": "m",
        "layers": made,
        "input_layers": [["x", 0, 0]],
        "output_layers": outputs,
    }
    return {"class_name": "Model", "config": config, "name": "m", "input_shapes": [list(shape)]}


X = ["x", 0, 0, {}]
FIRST = {"batch_input_shape": [None, None, 3]}


def of_tensors(count: int, size: int) -> bytes:
    """Many tensors, of a layer that there is not."""
    tensors = {f"d/{i}": np.zeros(size, "float32") for i in range(count)}
    return file_of(sequential(entry("Flatten", **FIRST)), tensors, [["d", list(tensors)]])


def nested(wrapper: str, times: int, inner: dict[str, Any]) -> dict[str, Any]:
    """A layer within a layer within a layer ..."""
    for i in range(times):
        inner = entry(wrapper, layer=inner, name=f"w{i}")
    return inner


def first(layer: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The same layer with the shape that the first of a stack needs."""
    return layer | {"config": layer["config"] | FIRST | more}


def calling_itself_twice(times: int) -> dict[str, Any]:
    """Models within models, each of which calls the one within twice: 2 ** times calls."""
    inner = entry("Activation", activation="tanh", name="m")
    for _ in range(times):
        model = functional([(inner, [[X], [["m", 0, 0, {}]]])], [["m", 1, 0]])
        inner = {"class_name": "Model", "config": model["config"]}
    return model


def dense(**config: Any) -> dict[str, Any]:
    return entry("Dense", **{"units": 1, "name": "d", "activation": "linear"} | config)


def waiting(count: int) -> dict[str, Any]:
    """A call with inputs that become known one after the other, the first of them last."""
    layers = [
        (entry("Activation", activation="tanh", name=f"a{i}"), [[[f"a{i + 1}", 0, 0, {}]]])
        for i in range(count)
    ]
    layers.append((entry("Activation", activation="tanh", name=f"a{count}"), [[X]]))
    inputs = [[f"a{i}", 0, 0, {}] for i in reversed(range(count))]
    return functional([(entry("Add", name="sum"), [inputs]), *layers], [["sum", 0, 0]])


def small(training: Any) -> bytes:
    """One layer with weights, and a training."""
    tensors = {"d/kernel": np.zeros((3, 1), "float32"), "d/bias": np.zeros(1, "float32")}
    model = sequential(dense(batch_input_shape=[None, 3]), shape=(None, 3))
    return file_of(model, tensors, [["d", list(tensors)]], training)


def trained(**changes: Any) -> dict[str, Any]:
    """What a model was compiled with."""
    plain: dict[str, Any] = dict.fromkeys(
        ("metrics", "loss_weights", "sample_weight_mode", "weighted_metrics")
    )
    plain |= {"optimizer": entry("SGD"), "iterations": 0, "loss": "mse", "state": []}
    return plain | changes


def many_outputs(count: int, **changes: Any) -> bytes:
    """A layer that is called again and again, each time for an output."""
    layer = (entry("Activation", activation="tanh", name="a"), [[X]] * count)
    model = functional([layer], [["a", i, 0] for i in range(count)])
    return file_of(model, training=trained(**changes))


def colliding_names(count: int) -> bytes:
    """Layers whose names and those of their weights give the same name for all of these."""
    inner = [
        entry("Model")
        | {
            "config": functional([(dense(name="a/" * i + "a"), [[X]])], [["a/" * i + "a", 0, 0]])[
                "config"
            ]
        }
        for i in range(count)
    ]
    layers = []
    for i, layer in enumerate(inner):
        name = "a/" * (count - i) + "a"
        layer["config"]["name"] = name
        layers.append((layer, [[X]]))
    outputs = [[layer["config"]["name"], 0, 0] for layer, _ in layers]
    tensors = {f"t{i}": np.zeros(1, "float32") for i in range(2 * count)}
    return file_of(functional(layers, outputs), tensors, [["d", list(tensors)]])


GOOD = small(trained())

FILES: dict[str, Callable[[], bytes]] = {
    # ------------------------------------------------------------------ much of it
    "states of a batch of 2**25 - 1": lambda: file_of(
        sequential(
            entry("LSTM", units=1, stateful=True, name="l", batch_input_shape=[2**25 - 1, 1, 1]),
            shape=(2**25 - 1, 1, 1),
        )
    ),
    "60,000 empty tensors": lambda: with_header(
        "{"
        + ",".join(
            f'"{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(60_000)
        )
        + "}"
    ),
    "2,000 empty tensors": lambda: of_tensors(2_000, 0),
    "30,000 tensors of one number": lambda: of_tensors(30_000, 1),
    "300,000 keys of the header": lambda: with_header(
        "{" + ",".join(f'"{i}":1' for i in range(300_000)) + "}"
    ),
    "300,000 keys of the description": lambda: file_of(
        sequential(entry("Flatten", **FIRST)) | {"more": {str(i): 1 for i in range(250_000)}}
    ),
    "1,000,000 nested lists of the header": lambda: with_header(
        '{"a":[' + ",".join(["[]"] * 10**6) + "]}"
    ),
    "1,000,000 nested lists of the description": lambda: file_of(
        sequential(entry("Flatten", **FIRST)) | {"input_shapes": [[]] * 10**6}
    ),
    # As much as is read of anything, to be refused late.
    "31,000 nested lists": lambda: file_of(
        sequential(entry("Dense", units=[[]] * 31_000, **FIRST))
    ),
    "21,000 objects": lambda: file_of(
        sequential(entry("Dense", units=[{"": 0}] * 21_000, **FIRST))
    ),
    "50,000 keys": lambda: file_of(
        sequential(entry("Dense", units={str(i): 0 for i in range(50_000)}, **FIRST))
    ),
    "64,000 texts": lambda: file_of(
        sequential(entry("Dense", units=[f"{i:x}" for i in range(64_000)], **FIRST))
    ),
    "64,000 numbers": lambda: file_of(
        sequential(entry("Dense", units=[1 / (1 + i) for i in range(64_000)], **FIRST))
    ),
    "17 texts of 60 KB": lambda: file_of(
        sequential(entry("Dense", units=[f"{i:060000}" for i in range(17)], **FIRST))
    ),
    "500 Dropout layers and 1,500 calls": lambda: file_of(
        functional(
            [(entry("Dropout", rate=0.5, name=f"d{i}"), [[X]] * 3) for i in range(505)],
            [[f"d{i}", n, 0] for i in range(505) for n in range(3)],
        ),
        training=trained(),
    ),
    "500 LSTM layers that are never called": lambda: file_of(
        functional(
            [(entry("Activation", activation="tanh", name="a"), [[X]])]
            + [(entry("LSTM", units=1, name=f"l{i}"), []) for i in range(508)],
            [["a", 0, 0]],
        )
    ),
    "4,000 calls of one layer": lambda: file_of(
        functional(
            [(entry("Activation", activation="tanh", name="a"), [[X]] * 4_080)], [["a", 0, 0]]
        )
    ),
    "2,000 outputs with a metric each": lambda: many_outputs(2_000, metrics=["mae"]),
    "a layer with 400,000 lists in lists": lambda: file_of(
        sequential(entry("Reshape", target_shape=[[[]]] * 400_000, **FIRST))
    ),
    "100,000 inputs of one call": lambda: file_of(
        functional([(entry("Add", name="a"), [[X] * 100_000])], [["a", 0, 0]])
    ),
    "2,000 inputs that wait for each other": lambda: file_of(waiting(2_000)),
    "450 inputs that wait for each other": lambda: file_of(waiting(450)),
    "40,000 calls of one layer": lambda: file_of(
        functional(
            [(entry("Activation", activation="tanh", name="a"), [[X]] * 40_000)], [["a", 0, 0]]
        )
    ),
    "100,000 outputs": lambda: file_of(
        functional(
            [(entry("Activation", activation="tanh", name="a"), [[X]])], [["a", 0, 0]] * 100_000
        ),
        training=trained(),
    ),
    "a Constant of 1,000,000 numbers": lambda: file_of(
        sequential(first(dense(kernel_initializer=entry("Constant", value=[0] * 10**6))))
    ),
    "a Constant of 60,000 numbers in 256 layers": lambda: file_of(
        sequential(
            first(
                nested(
                    "Bidirectional",
                    8,
                    entry(
                        "LSTM",
                        units=1,
                        name="l",
                        kernel_initializer=entry("Constant", value=[0.5] * 60_000),
                    ),
                )
            )
        )
    ),
    "4,000 Dropout layers": lambda: file_of(
        sequential(*(entry("Dropout", rate=0.5, name=f"d{i}", **FIRST) for i in range(4_000)))
    ),
    "20,000 Dropout layers": lambda: file_of(
        sequential(*(entry("Dropout", rate=0.5, name=f"d{i}", **FIRST) for i in range(20_000)))
    ),
    "1,000 LSTM layers without tensors": lambda: file_of(
        sequential(
            *(
                entry("LSTM", units=1, return_sequences=True, name=f"l{i}", **FIRST)
                for i in range(1_000)
            )
        )
    ),
    "1,000 LSTM layers that are never called": lambda: file_of(
        functional(
            [(entry("Activation", activation="tanh", name="a"), [[X]])]
            + [(entry("LSTM", units=1, name=f"l{i}"), []) for i in range(1_000)],
            [["a", 0, 0]],
        )
    ),
    "a 1 MB weights argument": lambda: file_of(
        sequential(first(dense(weights=[[[0.1234567890123456] * 50_000], [0]])))
    ),
    "a weights argument of 500,000 lists": lambda: file_of(
        sequential(first(dense(weights=[[]] * 500_000)))
    ),
    # ------------------------------------------------------------------ layers within layers
    "TimeDistributed 28 deep": lambda: file_of(
        sequential(
            first(
                nested("TimeDistributed", 28, entry("Activation", activation="tanh")),
                batch_input_shape=[None] + [1] * 30,
            ),
            shape=[None] + [1] * 30,
        )
    ),
    "Bidirectional 14 deep": lambda: file_of(
        sequential(first(nested("Bidirectional", 14, entry("LSTM", units=1, name="l"))))
    ),
    "models that call models twice, 14 deep": lambda: file_of(calling_itself_twice(14)),
    "models that call models twice, 9 deep": lambda: file_of(calling_itself_twice(9)),
    "Bidirectional with a long name, 7 deep": lambda: file_of(
        sequential(first(nested("Bidirectional", 7, entry("LSTM", units=1, name="l" * 65_000))))
    ),
    # ------------------------------------------------------------------ large numbers
    "units": lambda: file_of(sequential(first(entry("LSTM", units=10**9)))),
    "units of 10**19": lambda: file_of(sequential(first(entry("LSTM", units=10**19)))),
    "filters": lambda: file_of(
        sequential(first(entry("Conv1D", filters=10**9, kernel_size=10**6)))
    ),
    "an embedding": lambda: file_of(
        sequential(entry("Embedding", input_dim=10**9, output_dim=10**9, input_length=3))
    ),
    "repeated, with a mask": lambda: file_of(
        sequential(
            entry("RepeatVector", n=2**26 - 1, batch_input_shape=[None, 1]),
            entry("Masking", name="b"),
            shape=(None, 1),
        )
    ),
    "repeated 2**26 times by 600 layers": lambda: file_of(
        sequential(
            entry("RepeatVector", n=2**62, batch_input_shape=[None, 3]),
            *(
                e
                for i in range(300)
                for e in (
                    entry("Flatten", name=f"f{i}"),
                    entry("RepeatVector", n=2**62, name=f"r{i}"),
                )
            ),
        )
    ),
    "a mask of 2**26 steps": lambda: file_of(
        sequential(
            entry("Masking", batch_input_shape=[None, 2**26 - 1, 1]), shape=(None, 2**26 - 1, 1)
        )
    ),
    "a mask of 2**22 steps, read by 8 layers": lambda: file_of(
        sequential(
            *(
                entry("Masking", name=f"m{i}", batch_input_shape=[None, 2**22 - 1, 1])
                for i in range(8)
            ),
            shape=(None, 2**22 - 1, 1),
        )
    ),
    "an embedding's mask of 2**26 steps": lambda: file_of(
        sequential(
            entry("Embedding", input_dim=1, output_dim=1, mask_zero=True, input_length=2**26 - 1),
            shape=(None, 2**26 - 1),
        )
    ),
    "32,000 axes": lambda: file_of(
        sequential(
            entry("Flatten", batch_input_shape=[None] + [2**62] * 32_000),
            shape=[None] + [2**62] * 32_000,
        )
    ),
    "a target of 65,000 axes": lambda: file_of(
        sequential(entry("Reshape", target_shape=[2**62] * 65_000, **FIRST))
    ),
    # ------------------------------------------------------------------ names and texts
    "weights whose names are the same": lambda: colliding_names(200),
    "a name of 4 MB": lambda: file_of(sequential(first(dense(name="x" * 4_000_000)))),
    "a key of 4 MB": lambda: file_of(sequential(first(dense(**{"x" * 4_000_000: 1})))),
    "600 names of 6 KB": lambda: file_of(
        sequential(*(entry("Dropout", rate=0.5, name=f"{i:06000}", **FIRST) for i in range(600)))
    ),
    "an unknown activation of 60 KB": lambda: file_of(
        sequential(first(dense(activation="tanh" * 15_000)))
    ),
    "a number of 3,000,000 digits": lambda: file_of(
        sequential(first(dense(activation="@"))),
        change=lambda text: text.replace('"@"', "0." + "1" * 3_000_000),
    ),
    "a lone surrogate in a name": lambda: file_of(sequential(first(dense(name="d\ud800")))),
    "an unknown key module": lambda: file_of(sequential(first(dense()) | {"module": "os"})),
    # ------------------------------------------------------------------ training
    "iterations: true": lambda: small(trained(iterations=True)),
    "iterations: 2**63": lambda: small(trained(iterations=2**63)),
    "4,000 outputs with 100 metrics each": lambda: many_outputs(4_000, metrics=["mae"] * 100),
    "300 outputs with 300 metrics each": lambda: many_outputs(300, metrics=["mae"] * 300),
    "60,000 metrics": lambda: small(trained(metrics=["mae"] * 60_000)),
    "3,000 metrics": lambda: small(trained(metrics=["mae"] * 3_000)),
    "losses for 60,000 outputs of 400": lambda: many_outputs(
        400, loss={f"o{i}": "mse" for i in range(30_000)}
    ),
    "a state of one tensor 100,000 times": lambda: file_of(
        sequential(entry("Flatten", **FIRST)),
        {"s": np.zeros(1, "float32")},
        training=trained(state=["s"] * 100_000),
    ),
    "a layer of one tensor 100,000 times": lambda: file_of(
        sequential(entry("Flatten", **FIRST)),
        {"s": np.zeros(1, "float32")},
        [["d", ["s"] * 100_000]],
    ),
    "100,000 layers of nothing": lambda: file_of(
        sequential(entry("Flatten", **FIRST)), layers=[["d", []]] * 100_000
    ),
    "a schedule of 2**53 updates": lambda: small(
        trained(optimizer=entry("Nadam", schedule_decay=1e9, beta_1=1 - 2**-53), iterations=2**53)
    ),
}

# These ask for nothing that they do not hold, and load.
LOAD = {
    "TimeDistributed 28 deep",
    "500 Dropout layers and 1,500 calls",
    "500 LSTM layers that are never called",
    "4,000 calls of one layer",
    "2,000 outputs with a metric each",
    "450 inputs that wait for each other",
    "models that call models twice, 9 deep",
    "3,000 metrics",
    "a schedule of 2**53 updates",
}


# ---------------------------------------------------------------------- measuring


def measured(good: Path, path: Path) -> tuple[float, float, str]:
    """Milliseconds, megabytes and the outcome of loading a file."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, good, path, str(ADDRESS_SPACE)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return 1e3 * TIMEOUT, float("nan"), "still loading"
    if done.returncode:
        return float("nan"), float("nan"), f"died: {done.stderr[-200:]!r}"
    time, memory, outcome = done.stdout.split(" ", 2)
    return float(time), float(memory), outcome.strip()


def main() -> int:
    """Measure and print; 1 if a file is above a limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--limit-ms", type=float, default=LIMIT_MS)
    parser.add_argument("--limit-mb", type=float, default=LIMIT_MB)
    given = parser.parse_args()
    above = False
    with tempfile.TemporaryDirectory() as folder:
        good, path = Path(folder, "good.safetensors"), Path(folder, "model.safetensors")
        good.write_bytes(GOOD)
        for name in given.names or FILES:
            data = FILES[name]()
            path.write_bytes(data)
            time, memory, outcome = measured(good, path)
            refused = outcome.startswith("FormatError")
            fine = time <= given.limit_ms and memory <= given.limit_mb
            fine &= refused or (name in LOAD and outcome == "loaded")
            above |= not fine
            print(
                f"{'' if fine else '! '}{name} ({len(data):,} bytes): {time:.1f} ms, "
                f"{memory:.1f} MB, {outcome.partition(': ')[2][-90:] if refused else outcome[:90]}",
                flush=True,
            )
    return int(above)


if __name__ == "__main__":
    raise SystemExit(main())
