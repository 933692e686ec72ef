"""Product: what `Dense` and `Conv1D` compute, of their weights as they are now; its gradients."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from cylstm import _core, _threads, activations
from cylstm.layers import _engines
from cylstm.layers.streams import DenseStream
from cylstm.variables import Variable

__all__ = ["Product", "gradients"]

Windows = tuple[int, int, int, int] | None  # count, stride, dilation, before: of `_core.Affine`


class _Weighted(Protocol):
    """What it reads of a layer."""

    kernel: Variable
    bias: Variable | None
    activation: Any


def gradients(
    x: np.ndarray, kernel: np.ndarray, dz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of W, b and x, given that of x W + b.

    By the core's products: threads of a BLAS, once it has some, go on looking for work for a while
    after each call, and keep those of the next LSTM from their CPUs. Measured, Dense(12) on 3,200
    rows, two threads: the LSTM before it took 5.9 ms instead of 4.1.

    Parameters
    ----------
    x : ndarray, shape (rows, features)
    kernel : ndarray, shape (features, columns)
    dz : ndarray, shape (rows, columns)
        All of one dtype.
    """
    if _engines.is_cheaper_unpacked(kernel, len(dz)):
        return x.T @ dz, dz.sum(axis=0), dz @ kernel.T
    if dz.shape[1] <= x.shape[1]:  # the narrower one is copied in the other order
        turned = np.ascontiguousarray(dz.T)
        d_kernel, d_bias = np.ascontiguousarray(_product(turned, x).T), turned.sum(axis=1)
    else:
        d_kernel, d_bias = _product(x.T, dz), dz.sum(axis=0)
    return d_kernel, d_bias, _product(dz, kernel.T)


def _product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The product of matrices in any order in memory: the core takes them in that of C."""
    affine, _ = _engines.made_affine(np.ascontiguousarray(matrix), None, activations.linear)
    return affine.forward(np.ascontiguousarray(rows), None, _threads.pool)


class Product:
    """activation(x W + b) of a layer; the weights stay packed until one of them is replaced.

    An activation of the user's own follows in NumPy. A copy, or a pickle, holds nothing: it packs
    anew.
    """

    def __init__(self) -> None:
        self._made: tuple[Any, ...] | None = None

    def __reduce__(self) -> tuple[type[Product], tuple[()]]:
        return Product, ()

    def _current(self, layer: _Weighted, rows: int | None = None) -> tuple[_engines.Affine, bool]:
        """The product as the layer is now, and whether its activation is in it.

        If it is for a single product, `rows` says of how many rows.
        """
        kernel, activation = layer.kernel.value, layer.activation
        bias = None if layer.bias is None else layer.bias.value
        if rows is not None and _engines.is_cheaper_unpacked(kernel, rows):
            return _engines.made_affine(kernel, bias, activation, packed=False)
        made = self._made
        if (
            made is None
            or made[0] is not kernel
            or made[1] is not bias
            or made[2] is not activation
        ):
            made = kernel, bias, activation, *_engines.made_affine(kernel, bias, activation)
            self._made = made
        return made[3], made[4]

    def __call__(
        self, layer: _Weighted, inputs: np.ndarray, windows: Windows = None, keep: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """What goes into the activation, and the outputs: all that its derivative needs.

        The derivatives of built-in activations read the outputs alone, which are then both. `keep`
        says that a backward pass follows: the weights will soon be others.
        """
        affine, is_whole = self._current(layer, inputs.size // inputs.shape[-1] if keep else None)
        z = affine.forward(inputs, windows, _threads.pool)
        return z, z if is_whole else activations.evaluate(layer.activation, z)

    def stream(
        self,
        layer: _Weighted,
        shape: tuple[int, ...],
        windows: Windows = None,
        out: np.ndarray | None = None,
    ) -> DenseStream | None:
        """The same for inputs of one shape; None where Python has to compute a part of it."""
        affine, is_whole = self._current(layer)
        if not is_whole or not isinstance(affine, _core.Affine):
            return None
        return DenseStream(affine, shape, windows, out)
