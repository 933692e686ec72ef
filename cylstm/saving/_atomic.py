"""Files that are replaced as a whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # on Windows

__all__ = ["check", "write"]

_NAME_KEPT = 40  # of the name of the file in that of the temporary one: names have 255 bytes


def write(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = True) -> None:
    """Write a file that is complete or not there, whatever happens on the way.

    The bytes go to a new file in the same folder, to the disk, and only then to the name. A file
    that is replaced passes on its mode. Temporary files that a killed process left behind are
    removed by the next call for the same name (where files can be locked).

    Parameters
    ----------
    path : str or path
        Where to.
    data : bytes
        What.
    overwrite : bool, default True
        Whether an existing file is replaced.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False.
    ValueError
        If the path is a symbolic link, or what is there is no regular file.
    OSError
        If the disk is full, the folder does not exist, ...; what was there before is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(folder + "/data", b"old")
    ...     write(folder + "/data", b"new")
    ...     Path(folder, "data").read_bytes(), len(os.listdir(folder))
    (b'new', 1)
    """
    path = Path(path)
    mode = check(path, overwrite=overwrite)
    _sweep(path)
    with _temporary(path, 0o666 if mode is None else mode) as (descriptor, temporary):
        # Where there are locks, the lock is kept until the file has its name; where there are none
        # (Windows), an open file could not be renamed.
        with open(descriptor, "wb", closefd=fcntl is None) as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)  # whatever the umask
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        _move(temporary, path, overwrite)
    _sync_folder(path.parent)


def check(path: str | os.PathLike[str], *, overwrite: bool = True) -> int | None:
    """Raise what `write` would because of the path, without writing anything.

    Parameters
    ----------
    path : str or path
        Where to.
    overwrite : bool, default True
        Whether an existing file may be replaced.

    Returns
    -------
    int or None
        The permissions of the file that is to be replaced, or None where there is none.

    Raises
    ------
    FileExistsError, ValueError
        As `write` does.
    OSError
        If there is no such folder, or nothing can be written to it.
    """
    path = Path(path)
    _check_folder(path.parent)
    return _mode_of_existing(path, overwrite)


def _mode_of_existing(path: Path, overwrite: bool) -> int | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not overwrite:
        raise _exists(path)
    if stat.S_ISLNK(status.st_mode):
        raise ValueError(
            f"{path} is a symbolic link, which is neither followed nor replaced: save to "
            f"{os.readlink(path)!r}, what it points to, or remove it."
        )
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is no regular file: choose another path.")
    return stat.S_IMODE(status.st_mode) & 0o777


def _check_folder(folder: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT, "there is no such folder; make it first", str(folder)
        ) from None
    if not is_folder:
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(folder))
    # To list it is needed as well: see `_sweep`.
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "nothing can be written to the folder", str(folder))


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(
        errno.EEXIST, "the file exists; give overwrite=True to replace it", str(path)
    )


@contextmanager
def _temporary(path: Path, mode: int) -> Iterator[tuple[int, Path]]:
    """A new file beside `path`, open for writing; its name is gone at the end."""
    descriptor, temporary = _locked(path, mode)
    try:
        yield descriptor, temporary
    finally:
        if fcntl is not None:
            os.close(descriptor)
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _locked(path: Path, mode: int) -> tuple[int, Path]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = path.with_name(f".{path.name[:_NAME_KEPT]}.{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, flags, mode)
        if fcntl is None:
            return descriptor, temporary
        # The lock tells `_sweep` that the file is in use; it may have come before the lock.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)


def _move(temporary: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, it fails where the name is taken
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise _exists(path) from None
        os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    """Make the new name last, where folders can be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove the temporary files of processes that are no more: nobody holds their locks."""
    if fcntl is None:
        return
    left = re.compile(re.escape(f".{path.name[:_NAME_KEPT]}.") + r"[0-9a-f]{16}\.tmp")
    for name in os.listdir(path.parent):
        if left.fullmatch(name):
            with suppress(OSError):
                _remove_unlocked(path.with_name(name))


def _remove_unlocked(temporary: Path) -> None:
    descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(temporary)
    finally:
        os.close(descriptor)
