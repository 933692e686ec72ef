"""The container, strict JSON, and what happens without the package safetensors."""

import builtins
import json

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM
from cylstm.saving import FORMATS, FormatError, _json, _tensors
from cylstm.saving._errors import reading


@pytest.mark.parametrize("dtype", _tensors.DTYPES.values())
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3), (1,) * 8])
def test_arrays_come_back(dtype, shape, tmp_path):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    tensors = {"odd \u00e9\n/\0name": array, "z": np.ones(3, "float32")}
    path = tmp_path / "tensors"
    path.write_bytes(_tensors.encode(tensors, {"key": "value"}))
    found, metadata = _tensors.decode(path, 10**6)
    assert metadata == {"key": "value"}
    assert found.keys() == tensors.keys()
    for name, expected in tensors.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_arrays_of_other_layouts(tmp_path):
    array = np.arange(24.0).reshape(4, 6)
    layouts = {"fortran": np.asfortranarray(array), "strided": array[::2, ::-1], "t": array.T}
    path = tmp_path / "tensors"
    path.write_bytes(_tensors.encode(layouts, {}))
    found, _ = _tensors.decode(path, 10**6)
    for name, expected in layouts.items():
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("dtype", ["float16", "complex128", "O", "U3", "bool"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="x has the dtype .*, which is not stored"):
        _tensors.encode({"x": np.zeros(2, dtype)}, {})


@pytest.mark.parametrize("shorter", [True, False])
def test_a_file_that_changes_while_it_is_read(shorter, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    long_name = "x" * 20_000  # longer than what is read ahead
    cylstm.Sequential([LSTM(64, input_shape=(None, 3), name=long_name)]).save(path)
    parse = _json.parse

    def meanwhile(text):
        if isinstance(text, bytes):
            with path.open("r+b") as file:
                file.seek(9)
                file.write(b"x")
                file.truncate(path.stat().st_size - shorter)
        return parse(text)

    monkeypatch.setattr(_json, "parse", meanwhile)
    with pytest.raises(FormatError, match="changed while it was read"):
        cylstm.models.load_model(path)


def test_without_the_package_files_are_read_and_writing_says_how_to_install_it(
    saved, tmp_path, monkeypatch
):
    imported = builtins.__import__

    def without(name, *arguments, **kwargs):
        if name.partition(".")[0] == "safetensors":
            raise ImportError(f"No module named {name!r}")
        return imported(name, *arguments, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    model = cylstm.Sequential([LSTM(2, input_shape=(None, 3))])
    for action in (model.save, model.save_weights):
        with pytest.raises(ImportError, match="pip install safetensors"):
            action(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []
    cylstm.models.load_model(saved).load_weights(saved)


def test_every_format_has_what_a_format_needs():
    functions = ("recognises", "require", "load", "load_weights")
    suffixes = [suffix for module in FORMATS.values() for suffix in module.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    for module in FORMATS.values():
        assert all(suffix == suffix.lower() for suffix in module.suffixes)
        assert all(suffix.startswith(".") for suffix in module.suffixes)
        assert all(callable(getattr(module, name)) for name in functions)
        assert not module.recognises(b"")


def test_json_comes_back_exactly():
    value = {"a": [1, -2.5e-300, 0.1, True, None, '\u00e9\U0001f600"\\'], "b": {}, "c": 10**19}
    text = _json.dump(value)
    assert _json.parse(text) == value
    assert _json.dump(_json.parse(text)) == text
    assert json.loads(text) == value


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 200, 10**5])
def test_json_may_be_nested_64_deep(depth):
    text = "[" * depth + "]" * depth
    if depth <= 64:
        _json.parse(text)
    else:
        with pytest.raises(ValueError, match="nested more than 64 deep"):
            _json.parse(text)


def test_plain_says_where():
    with pytest.raises(TypeError, match=r"^config\['a'\]\[1\]\['b'\] is .*object"):
        _json.plain({"x": 1, "a": (0, {"b": object()})}, "config")
    with pytest.raises(ValueError, match=r"^config\['a'\]\[2\] is nan"):
        _json.plain({"a": np.array([0, 1, np.nan])}, "config")


@pytest.mark.parametrize("error", [MemoryError("m"), OSError("o"), ImportError("i")])
def test_what_has_to_do_with_the_machine_passes(error):
    with pytest.raises(type(error)) as caught, reading("path"):
        raise error
    assert caught.value is error


def test_an_interrupt_passes():
    with pytest.raises(KeyboardInterrupt), reading("path"):
        raise KeyboardInterrupt


def test_long_messages_are_cut():
    with pytest.raises(FormatError) as caught, reading("path"):
        raise KeyError("x" * 10**6)
    assert len(str(caught.value)) < 1100
    assert "KeyError" in str(caught.value)
