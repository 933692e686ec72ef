"""Drivers in C are built once, and what is wrong with them is told."""

import ctypes

import numpy as np
import pytest

from bench import peers
from bench.machine import compiler
from bench.peers import libxsmm, native

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler")


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def driver(folder, text):
    source = folder / "answer.c"
    source.write_text(text)
    return source


@needs_compiler
def test_a_driver_is_built_once_for_each_text_and_flags(tmp_path):
    source = driver(tmp_path, "int answer(void) { return ANSWER; }")
    assert native.built(source, ["-DANSWER=42"]).answer() == 42
    (library,) = native.cache_folder().iterdir()
    before = library.stat().st_mtime_ns
    assert native.built(source, ["-DANSWER=42"]).answer() == 42
    assert [file.stat().st_mtime_ns for file in native.cache_folder().iterdir()] == [before]
    assert native.built(source, ["-DANSWER=43"]).answer() == 43
    assert len(list(native.cache_folder().iterdir())) == 2


@needs_compiler
def test_a_driver_that_does_not_compile(tmp_path):
    source = driver(tmp_path, "#include <no_such_header.h>\n")
    with pytest.raises(RuntimeError, match=r"answer\.c cannot be compiled: .*no_such_header"):
        native.built(source, [])
    assert not list(native.cache_folder().iterdir())


def test_without_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "compiler", lambda: None)
    with pytest.raises(RuntimeError, match="there is no C compiler"):
        native.built(driver(tmp_path, ""), [])


def test_headers_are_found_below_a_prefix(monkeypatch, tmp_path):
    other = tmp_path / "other"
    (other / "include" / "deep").mkdir(parents=True)
    (other / "include" / "deep" / "one.h").touch()
    monkeypatch.setattr(native, "PREFIXES", (tmp_path, other))
    assert native.found_header("deep/one.h") == other
    assert native.found_header("two.h") is None


@pytest.mark.parametrize("name", ["libxsmm", "onednn"])
def test_a_header_or_a_compiler_that_is_missing_is_noticed(monkeypatch, name):
    peer = peers.load(name)
    monkeypatch.setattr(peers, "found_header", lambda header: None)
    monkeypatch.setattr(peers, "compiler", lambda: None)
    assert peers.missing(peer) == [*peer.headers, "a C compiler"]


@pytest.mark.parametrize("shape", [(3,), (2, 5, 3)])
def test_copies_are_aligned(shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32).T
    copy = native.aligned(array)
    np.testing.assert_array_equal(copy, array)
    assert copy.flags.c_contiguous
    assert copy.ctypes.data % 64 == 0
    assert native.address(copy).value == ctypes.addressof(ctypes.c_float.from_buffer(copy))


def test_weights_in_blocks():
    weights = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    blocks = libxsmm.blocked(weights, 3, 2)
    assert blocks.shape == (4, 4, 2, 3, 2)
    # the second block of columns, the first of rows
    np.testing.assert_array_equal(blocks[1, 1, 0], weights[1, 0:3, 2:4])
    np.testing.assert_array_equal(libxsmm.unblocked(blocks), weights)


@pytest.mark.parametrize(("size", "expected"), [(64, 64), (192, 64), (100, 100), (1, 1)])
def test_blocks_divide(size, expected):
    assert libxsmm.block(size) == expected
