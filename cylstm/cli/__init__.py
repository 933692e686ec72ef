"""The command line: ``cylstm COMMAND``, and ``python -m cylstm COMMAND``.

A command is a module with ``add_to``, which adds its arguments to a parser, and ``run``, and a line
in the table below; the module is loaded when the command is called. Results go to standard output,
progress and warnings to standard error. What goes wrong is said in one line; the exit status is 1
then, 2 for wrong arguments, 130 after Ctrl-C. Nothing from a file is executed.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from cylstm._version import __version__
from cylstm.cli._text import UsageError, printable

__all__ = ["main"]

_PROGRAM = "cylstm"
_COMMANDS = {
    "train": "train a model of sequences in a file",
    "predict": "let a model predict sequences in a file",
    "evaluate": "measure how well a model does",
    "inspect": "show what a file holds",
    "convert": "write what a file holds in another format",
    "bench": "measure an LSTM on this machine",
    "demo": "run published models",
    "info": "show versions, CPU, engine, threads and BLAS",
}
_FAILED, _WRONG_ARGUMENTS = 1, 2
_INTERRUPTED = 130  # what shells say of a program that Ctrl-C has ended


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status: 0, 1 where something went wrong, 2 for arguments that do not go together,
        130 after Ctrl-C.

    Raises
    ------
    SystemExit
        For --help, --version, and arguments that are not understood.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cylstm
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3), name="reader")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.safetensors")
    ...     model.save(path)
    ...     main(["inspect", str(path)])  # doctest: +ELLIPSIS
    /...model.safetensors: ... bytes
    format      safetensors of cylstm
    holds       a model, with weights
    written by  cylstm ...
    reader  LSTM ...units=4, activation=tanh, recurrent_activation=hard_sigmoid
    ...
    3 arrays, 128 numbers, 512 bytes
    0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given).parse_args(given)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names in a file may be of any characters
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _warn
            options.run(options)
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{_PROGRAM} {options.command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # as of `inspect FILE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError, TypeError, ImportError, MemoryError) as error:
        print(f"{_PROGRAM} {options.command}: error: {_said(error)}", file=sys.stderr)
        return _WRONG_ARGUMENTS if isinstance(error, UsageError) else _FAILED
    return 0


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"{_PROGRAM}: warning: {_one_line(message)}", file=sys.stderr)


def _said(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return printable(f"{error.filename}: {error.strerror}")
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    return _one_line(error)


def _one_line(message: Any) -> str:
    return printable(" ".join(str(message).split()))


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands; the arguments are those of the commands that are given."""
    parser = _Parser(
        prog=_PROGRAM,
        description="Train LSTM models of sequences in files, use them, look into them, convert "
        "them. Nothing in a file is executed.",
        epilog="examples: cylstm train data.csv --out run; cylstm predict run new.csv; cylstm "
        "COMMAND --help says more",
    )
    parser.add_argument("--version", action="version", version=f"cylstm {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, summary in _COMMANDS.items():
        parser_of_command = commands.add_parser(name, help=summary)
        if name in given:
            import_module(f"cylstm.cli._{name}").add_to(parser_of_command)
    return parser
