"""Beyond one process: prediction by Dask (``pip install 'cylstm[dask]'``).

To be imported by name; ``import cylstm`` does without Dask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cylstm import _lazy

if TYPE_CHECKING:
    from cylstm.distributed._dask import predict
else:
    __getattr__, __dir__ = _lazy.lazy(__name__, {"_dask": "predict"})

__all__ = ["predict"]
