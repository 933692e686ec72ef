"""Layers by the names of their classes, as configs have them; each is loaded on first use.

Models are layers too, and stand above them: `cylstm` enters these, `cylstm.layers` its own.
"""

from __future__ import annotations

from cylstm._lazy import LazyNames

__all__ = ["LAYERS"]

LAYERS = LazyNames()
