"""Checks of the arguments of layers."""

from __future__ import annotations

from typing import Any

__all__ = ["sample_axis", "sizes"]


def sample_axis(axis: Any) -> int:
    if type(axis) is not int or axis < 1:
        raise ValueError(f"axis must be an integer from 1 on, got {axis!r}.")
    return axis


def sizes(shape: Any) -> list[int]:
    if not isinstance(shape, list | tuple) or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"shape must be a list of sizes, got {shape!r}.")
    return list(shape)
