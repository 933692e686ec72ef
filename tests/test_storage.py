"""storage: how models reach what writes files, without knowing it."""

import inspect

import pytest

import cylstm
from cylstm import _storage, saving
from cylstm.layers import LSTM


def test_the_package_provides_saving():
    assert _storage.storage() is saving


@pytest.mark.parametrize("name", sorted(n for n in vars(_storage.Storage) if n[0] != "_"))
def test_saving_has_what_a_storage_has(name):
    wanted = dict(inspect.signature(getattr(_storage.Storage, name)).parameters)
    del wanted["self"]
    given = inspect.signature(getattr(saving, name)).parameters
    assert [(p.name, p.kind, p.default) for p in wanted.values()] == [
        (p.name, p.kind, p.default) for p in given.values()
    ]


class Notes:
    """A storage that keeps what it was asked for."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


def test_models_ask_whatever_is_provided(monkeypatch):
    notes = Notes()
    monkeypatch.setattr(_storage, "_provided", [])
    _storage.provide(notes)
    model = cylstm.Sequential([LSTM(2, input_shape=(None, 3))])
    model.save("a", False)
    model.save_weights("b")
    model.load_weights("c", by_name=True)
    model._check_path("d", overwrite=False)
    cylstm.models.load_model("e", max_size=5)
    assert notes.calls == [
        ("save_model", (model, "a", False, True), {}),
        ("save_weights", (model, "b", True), {}),
        ("load_weights", (model, "c", True), {"max_size": 2**30}),
        ("check_path", ("d",), {"overwrite": False, "model": model}),
        ("load_model", ("e", None, True), {"max_size": 5}),
    ]
