"""Storage: what models ask for when they are to go into files, whoever gives it.

Models know nothing of file formats, and `cylstm.saving`, which knows them, stands above the models.
So the package says where it is when it is imported, `provide_later`, and a model calls what it
finds here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["DEFAULT_MAX_SIZE", "Path", "Storage", "provide", "provide_later", "storage"]

DEFAULT_MAX_SIZE = 2**30  # bytes of a file that is read without being asked for more

Path = str | os.PathLike[str]


class Storage(Protocol):
    """What writes and reads models: the functions of `cylstm.saving`, which describes them."""

    def check_path(self, filepath: Path, *, overwrite: bool = True, model: Any = None) -> None:
        """Raise now what saving a model would raise later, because of the path or the model."""

    def check_weights_path(
        self, filepath: Path, *, overwrite: bool = True, model: Any = None
    ) -> None:
        """Raise now what saving weights would raise later, because of the path or the model."""

    def save_model(
        self, model: Any, filepath: Path, overwrite: bool = True, include_optimizer: bool = True
    ) -> None:
        """Write a model."""

    def load_model(
        self,
        filepath: Path,
        custom_objects: Mapping[str, Any] | None = None,
        compile: bool = True,
        *,
        max_size: int = DEFAULT_MAX_SIZE,
    ) -> Any:
        """Make the model that a file holds."""

    def save_weights(self, model: Any, filepath: Path, overwrite: bool = True) -> None:
        """Write the weights of a model."""

    def load_weights(
        self,
        model: Any,
        filepath: Path,
        by_name: bool = False,
        *,
        max_size: int = DEFAULT_MAX_SIZE,
    ) -> None:
        """Take the weights of a model from a file."""

    def config_from_json(self, document: Any) -> dict[str, Any]:
        """The configuration of a model, from parsed JSON of any Keras."""

    def config_to_json(self, model: Any) -> dict[str, Any]:
        """The class name and the configuration of a model as Keras 2 writes them."""


_provided: list[Callable[[], Storage]] = []


def provide(given: Storage) -> None:
    """Let models go into files by this."""
    provide_later(lambda: given)


def provide_later(load: Callable[[], Any]) -> None:
    """Let models go into files by what this returns: called once, when cylstm is imported."""
    _provided[:] = [load]


def storage() -> Storage:
    """What was provided."""
    given: Storage = _provided[0]()
    return given
