"""A small saved model, and ways to change what is in its file."""

import hashlib
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM, Dense

# Hostile files are made in the benchmark, which is no part of the package. Last, so that an
# installed cylstm is found before the source tree's.
sys.path.append(str(Path(__file__).resolve().parents[2]))


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small model that was trained a little. Not to be changed."""
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    model = cylstm.Sequential(
        [LSTM(2, input_shape=(None, 3), name="first"), Dense(1, name="second")], name="small"
    )
    model.compile("sgd", "mse", ["mae"])
    model.train_on_batch(np.ones((2, 3, 3)), np.ones((2, 1)))
    model.save(path)
    return path


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the rest of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: Any, rest: bytes) -> bytes:
    """The reverse of `split`; `header` may also be its text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


@pytest.fixture
def forge(saved: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a changed copy of `saved` whose digests are right, as one with bad intent would."""

    def write(change: Callable[[dict], Any], text: Callable[[str], str] = str) -> Path:
        header, rest = split(saved.read_bytes())
        document = json.loads(header["__metadata__"]["cylstm"])
        del document["digest"]
        change(document)
        content = text(json.dumps(document, separators=(",", ":")))
        digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        header["__metadata__"]["cylstm"] = f'{content[:-1]},"digest":"{digest}"}}'
        path = tmp_path / "forged.safetensors"
        path.write_bytes(joined(header, rest))
        return path

    return write


@pytest.fixture
def reheaded(saved: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a copy of `saved` with a changed header, or with another one, as bytes."""

    def write(change: Callable[[dict], Any]) -> Path:
        header, rest = split(saved.read_bytes())
        text = change(header)
        path = tmp_path / "reheaded.safetensors"
        path.write_bytes(joined(text if isinstance(text, bytes) else header, rest))
        return path

    return write
