"""Files that are replaced as a whole: kills, full disks, links, modes."""

import errno
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cylstm
from cylstm.layers import LSTM
from cylstm.saving import _atomic
from cylstm.saving._atomic import write


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(b"old")
    return path


def test_it_is_written_with_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "new", b"123")
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"123"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o444, 0o4755])
def test_a_replaced_file_passes_its_mode_on(mode, path):
    path.chmod(mode)
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode & 0o777
    assert os.listdir(path.parent) == ["data.bin"]


def test_the_new_file_is_another_one(path):
    """Who reads the old file goes on reading the old contents."""
    with path.open("rb") as file:
        write(path, b"new")
        assert file.read() == b"old"


def test_overwrite_false_refuses_at_once(path, monkeypatch):
    monkeypatch.setattr(_atomic, "_temporary", None)
    with pytest.raises(FileExistsError, match=f"overwrite=True.*{re.escape(str(path))}"):
        write(path, b"new", overwrite=False)
    assert path.read_bytes() == b"old"


def test_overwrite_false_writes_a_new_file(tmp_path):
    write(tmp_path / "new", b"123", overwrite=False)
    assert (tmp_path / "new").read_bytes() == b"123"
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("links", [True, False])
def test_overwrite_false_refuses_a_file_that_appeared_meanwhile(links, path, monkeypatch):
    def link(source, target):
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(_atomic, "_mode_of_existing", lambda path, overwrite: None)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(path, b"new", overwrite=False)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["data.bin"]
    path.unlink()
    write(path, b"new", overwrite=False)
    assert path.read_bytes() == b"new"


def test_a_link_is_neither_followed_nor_replaced(path):
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(ValueError, match="symbolic link.*data.bin"):
        write(link, b"new")
    assert link.is_symlink()
    path.unlink()  # a link to nothing
    with pytest.raises(ValueError, match="symbolic link"):
        write(link, b"new")
    with pytest.raises(FileExistsError):
        write(link, b"new", overwrite=False)
    assert os.listdir(path.parent) == ["link"]


def test_a_link_to_a_folder_is_followed(path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("links") / "folder"
    folder.symlink_to(path.parent)
    write(folder / "data.bin", b"new")
    assert path.read_bytes() == b"new"


def test_a_link_that_appears_meanwhile_is_replaced_not_followed(path, monkeypatch):
    target = path.with_name("target")
    target.write_bytes(b"precious")
    path.unlink()
    monkeypatch.setattr(_atomic, "_sweep", lambda path: path.symlink_to(target))
    write(path, b"new")
    assert target.read_bytes() == b"precious"
    assert not path.is_symlink()


def test_what_is_no_file_is_left_alone(path):
    folder, pipe = path.with_name("folder"), path.with_name("pipe")
    folder.mkdir()
    os.mkfifo(pipe)
    for other in (folder, pipe):
        with pytest.raises(ValueError, match="no regular file"):
            write(other, b"new")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(FileNotFoundError):
        write(path.with_name("missing") / "data.bin", b"new")


def test_the_order_in_which_things_reach_the_disk(path, monkeypatch):
    calls = []

    def recorded(name):
        function = getattr(os, name)

        def record(*arguments):
            first = arguments[0]
            folder = isinstance(first, int) and stat.S_ISDIR(os.fstat(first).st_mode)
            size = None if folder or name == "replace" else os.fstat(first).st_size
            calls.append((name, "folder" if folder else size))
            return function(*arguments)

        return record

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, recorded(name))
    write(path, b"x" * 1000)
    assert calls == [("fsync", 1000), ("replace", None), ("fsync", "folder")]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken disk"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["fsync", "replace", "fchmod"])
def test_an_error_leaves_the_old_file_and_nothing_else(name, error, path, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(type(error)):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["data.bin"]


def test_where_files_cannot_be_locked(path, monkeypatch):
    monkeypatch.setattr(_atomic, "fcntl", None)
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["data.bin"]


def test_what_others_left_is_swept_but_not_what_is_in_use(path, monkeypatch):
    left = path.with_name(".data.bin.0123456789abcdef.tmp")
    left.write_bytes(b"left by a dead process")
    kept = [
        path.with_name(".data.bin.0123.tmp"),
        path.with_name(".other.bin.0123456789abcdef.tmp"),
        path.with_name("data.bin.0123456789abcdef.tmp"),
    ]
    for other in kept:
        other.write_bytes(b"")
    seen = []
    move = _atomic._move

    def meanwhile(temporary, target, overwrite):
        """Another save of the same file while the first is under way."""
        monkeypatch.setattr(_atomic, "_move", move)
        seen.append(left.exists())
        write(path, b"second")
        seen.append(temporary.exists())
        move(temporary, target, overwrite)

    monkeypatch.setattr(_atomic, "_move", meanwhile)
    write(path, b"first")
    assert seen == [False, True]
    assert path.read_bytes() == b"first"
    assert sorted(path.parent.iterdir()) == sorted([path, *kept])


def test_a_new_file_that_is_swept_before_it_is_locked_is_made_again(path, monkeypatch):
    flock, swept = _atomic.fcntl.flock, []

    def late(descriptor, operation):
        if not swept:
            swept.append(next(p for p in path.parent.iterdir() if p != path))
            swept[0].unlink()
        return flock(descriptor, operation)

    monkeypatch.setattr(_atomic.fcntl, "flock", late)
    write(path, b"new")
    assert swept
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["data.bin"]


def test_a_name_that_is_taken_is_not_written_through(path, monkeypatch):
    """Somebody guessed the name of the temporary file and put a link there."""
    precious, trap = path.with_name("precious"), path.with_name(f".data.bin.{'z' * 16}.tmp")
    precious.write_bytes(b"precious")
    trap.symlink_to(precious)
    monkeypatch.setattr(_atomic.secrets, "token_hex", lambda size: "z" * 16)
    with pytest.raises(FileExistsError):
        write(path, b"new")
    assert precious.read_bytes() == b"precious"
    assert path.read_bytes() == b"old"


def test_names_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("\u00e9" * 127)
    write(path, b"1")
    write(path, b"2")
    assert path.read_bytes() == b"2"


# ---------------------------------------------------------------------- models


def model(value: float = 0.5) -> cylstm.Model:
    model = cylstm.Sequential([LSTM(8, input_shape=(None, 3))])
    model.set_weights([np.full_like(w, value) for w in model.get_weights()])
    return model


def test_saving_with_overwrite_false(tmp_path):
    path = tmp_path / "model.safetensors"
    for save in (model().save, model().save_weights):
        save(path, overwrite=False)
        before = path.read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            save(path, overwrite=False)
        assert path.read_bytes() == before
        path.unlink()


def run(program: str, *arguments: object, **options: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


LIMITED = """
import resource
import sys
from cylstm.models import load_model

model = load_model(sys.argv[1])
for size in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    for save in (model.save, model.save_weights):
        try:
            save(sys.argv[1])
        except OSError as error:
            print(type(error).__name__, error.errno)
"""


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.safetensors"
    model().save(path)
    before = path.read_bytes()
    process = run(LIMITED, path, 0, 1, 100, len(before) // 2)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output.splitlines() == [f"OSError {errno.EFBIG}"] * 8
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]
