"""check_path: what saving would refuse because of the path, before there is anything to save."""

import os
import stat
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import cylstm
from cylstm import saving
from cylstm.layers import LSTM
from cylstm.saving import check_path, check_weights_path


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of things that saving refuses, and one file that it replaces."""
    (tmp_path / "old.safetensors").write_bytes(b"old")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "old.safetensors")
    (tmp_path / "dangling.safetensors").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.safetensors")
    return tmp_path


def contents(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((p.name, p.lstat().st_mtime_ns, p.lstat().st_mode) for p in folder.iterdir())


REFUSED = {
    "model.pkl": (ValueError, "suffix"),
    "missing/model.safetensors": (FileNotFoundError, "make it first"),
    "missing/deeper/model.safetensors": (FileNotFoundError, "make it first"),
    "old.safetensors/model.safetensors": (NotADirectoryError, "no folder"),
    "folder.safetensors": (ValueError, "no regular file"),
    "pipe.safetensors": (ValueError, "no regular file"),
    "link.safetensors": (ValueError, "symbolic link"),
    "dangling.safetensors": (ValueError, "symbolic link"),
    "x" * 300 + ".safetensors": (OSError, "long"),
    "nul\0.safetensors": (ValueError, "null"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_check_and_both_ways_of_saving_raise_the_same(name, folder):
    kind, message = REFUSED[name]
    before = contents(folder)
    model = cylstm.Sequential([LSTM(2, input_shape=(None, 3))])
    texts = set()
    for action in (check_path, model._check_path, model.save, model.save_weights):
        with pytest.raises(kind, match=message) as caught:
            action(folder / name)
        texts.add((type(caught.value), str(caught.value)))
    assert len(texts) == 1
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["old.safetensors", "new.safetensors", "NEW.SafeTensors", "new"])
def test_a_good_path_passes_and_nothing_is_written(name, folder):
    before = contents(folder)
    for path in (folder / name, str(folder / name)):
        check_path(path)
    assert contents(folder) == before
    cylstm.Sequential([LSTM(2, input_shape=(None, 3))]).save(folder / name)


def test_a_file_that_may_not_be_replaced(folder):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        check_path(folder / "old.safetensors", overwrite=False)
    check_path(folder / "new.safetensors", overwrite=False)


def test_a_path_without_a_folder_is_in_the_current_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    check_path("new.safetensors")
    with pytest.raises(ValueError, match="no regular file"):
        check_path("folder.safetensors")


def test_a_folder_that_cannot_be_written_to(folder, monkeypatch):
    locked = folder / "locked"
    locked.mkdir(stat.S_IRUSR | stat.S_IXUSR)
    if os.geteuid() == 0:  # to whom everything is open: ask as somebody else would be answered
        monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    for action in (check_path, cylstm.Sequential([LSTM(2, input_shape=(None, 3))]).save):
        with pytest.raises(PermissionError, match="nothing can be written"):
            action(locked / "model.safetensors")
    assert list(locked.iterdir()) == []


def test_a_package_that_is_missing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match="need the package safetensors"):
        check_path(folder / "new.safetensors")


@pytest.mark.parametrize("path", [5, None, b"model.safetensors"])
def test_what_is_no_path(path):
    with pytest.raises((TypeError, ValueError)):
        check_path(path)


class Notes:
    """A format that is only read, known by what stands far from the beginning."""

    suffixes = (".notes",)

    def recognises(self, head):
        return b"notes" in head

    def require(self):
        pass

    def load(self, path, custom_objects, compile, max_size):
        return "read"

    def load_weights(self, model, path, by_name, max_size):
        model.append("read")


class LongNotes(Notes):
    """Weights that are written under a longer suffix."""

    suffixes = (".long.notes",)

    def encode_weights(self, model):
        return b"written"


def test_a_format_may_read_only(tmp_path, monkeypatch):
    monkeypatch.setitem(saving.FORMATS, "notes", Notes())
    (tmp_path / "x").write_bytes(bytes(60_000) + b"notes")
    assert saving.load_model(tmp_path / "x") == "read"
    model = cylstm.Sequential([LSTM(2, input_shape=(None, 3))])
    message = r"No {} are written under the suffix of '.*x\.notes'; .*: \.safetensors"
    for action in (check_path, model.save):
        with pytest.raises(ValueError, match=message.format("models")):
            action(tmp_path / "x.notes")
    for action in (check_weights_path, model.save_weights):
        with pytest.raises(ValueError, match=message.format("weights")):
            action(tmp_path / "x.notes")


def test_the_longest_suffix_counts(tmp_path, monkeypatch):
    monkeypatch.setitem(saving.FORMATS, "notes", Notes())
    monkeypatch.setitem(saving.FORMATS, "long notes", LongNotes())
    saving.save_weights([], tmp_path / "x.LONG.notes")
    assert (tmp_path / "x.LONG.notes").read_bytes() == b"written"
    check_weights_path(tmp_path / "x.long.notes")
    with pytest.raises(ValueError, match="No models are written"):
        check_path(tmp_path / "x.long.notes")


def test_checkpoints_of_weights_ask_for_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(saving.FORMATS, "long notes", LongNotes())
    model = cylstm.Sequential([LSTM(2, input_shape=(None, 3))])
    for weights_only, raised in ((True, False), (False, True)):
        checkpoint = cylstm.callbacks.ModelCheckpoint(
            tmp_path / "x.long.notes", save_weights_only=weights_only
        )
        checkpoint.set_model(model)
        with pytest.raises(ValueError, match="No models") if raised else nullcontext():
            checkpoint._check((), True)
