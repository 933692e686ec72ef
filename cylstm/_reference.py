"""The core once more in NumPy, written to be obvious: `Cell` and `Affine`, errors included.

It is what the compiled engines are tested against, and what runs custom activations: `activation`
and `recurrent_activation` may be callables here, besides the numbers in `ACTIVATIONS`. The notation
is that of `_core`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from cylstm import activations
from cylstm._core import ACTIVATIONS

__all__ = ["Affine", "Cell", "gate_product", "gate_product_backward", "product_gradient"]

_FUNCTIONS: list[Callable[[np.ndarray], np.ndarray]] = [
    getattr(activations, name) for name in ACTIVATIONS
]

Activation = int | Callable[[np.ndarray], np.ndarray]


def _named(activation: Activation) -> Callable[[np.ndarray], np.ndarray]:
    """The function of a number in ACTIVATIONS; a callable as it is."""
    if callable(activation):
        return activation
    if not 0 <= activation < len(_FUNCTIONS):
        raise ValueError(f"{activation} is not the number of an activation in ACTIVATIONS")
    return _FUNCTIONS[activation]


def _function(activation: Activation) -> Callable[[np.ndarray], np.ndarray]:
    """The function of an activation, its results checked: it may be the user's own."""
    return partial(activations.evaluate, _named(activation))


def _derivative(activation: Activation) -> activations.VectorJacobianProduct:
    """The product (x, y, dy) -> dx of an activation."""
    return activations.vjp(_named(activation))


def _expect_dtype(name: str, array: Any, dtype: np.dtype) -> None:
    """Raise as the core does where a value is no array of this dtype."""
    if type(array) is not np.ndarray:
        raise TypeError(f"{name} must be an array, got {type(array).__name__}")
    if array.dtype != dtype:
        raise ValueError(f"{name} has the dtype {array.dtype}, expected {dtype}")
    if not array.flags.aligned:
        raise ValueError(f"{name} is not aligned")


def _expect(
    name: str, array: Any, dtype: np.dtype, shape: tuple[int, ...], turned: bool = False
) -> None:
    """The same where it has not this dtype, shape and order: that of Fortran if turned."""
    _expect_dtype(name, array, dtype)
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, expected {shape}")
    if not (array.flags.f_contiguous if turned else array.flags.c_contiguous):
        raise ValueError(f"{name} is not C-contiguous")


def _mask_gates(masks: Any) -> int:
    """How many gates dropout masks are for: one mask may serve all four."""
    return 1 if np.shape(masks)[:1] == (1,) else 4


def _times(timesteps: int, go_backwards: bool) -> Iterator[tuple[int, int]]:
    """Each step with the time whose input it reads."""
    for s in range(timesteps):
        yield s, timesteps - 1 - s if go_backwards else s


def _gates(columns: np.ndarray) -> list[np.ndarray]:
    """The parts of the last axis for the gates i, f, c, o."""
    return np.split(columns, 4, axis=-1)


def _with_masks(masks: np.ndarray, a: np.ndarray, *columns: np.ndarray) -> Iterator[Any]:
    """Each dropout mask with the columns of its gate; one mask alone has the columns of all gates.

    The masks get an axis of timesteps if a has one.
    """
    if a.ndim == 3:
        masks = masks[:, :, None, :]
    return zip(masks, *(np.split(array, len(masks), axis=-1) for array in columns), strict=True)


def gate_product(a: np.ndarray, weights: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """(a * mask_g) weights_g for the gates g side by side; a is (batch, ..., width)."""
    if masks is None:
        product: np.ndarray = np.matmul(a, weights)
        return product
    products = [(a * mask) @ weights_g for mask, weights_g in _with_masks(masks, a, weights)]
    return np.concatenate(products, axis=-1)


def gate_product_backward(
    dz: np.ndarray, weights: np.ndarray, masks: np.ndarray | None
) -> np.ndarray:
    """sum_g mask_g * (dz_g weights_g^T)."""
    if masks is None:
        product: np.ndarray = np.matmul(dz, weights.T)
        return product
    parts = _with_masks(masks, dz, dz, weights)
    products = [mask * (dz_g @ weights_g.T) for mask, dz_g, weights_g in parts]
    total: np.ndarray = np.sum(products, axis=0)
    return total


def product_gradient(a: np.ndarray, dz: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """(a * mask_g)^T dz_g for the gates g side by side; a and dz are of one timestep."""
    if masks is None:
        gradient: np.ndarray = np.matmul(a.T, dz)
        return gradient
    products = [(a * mask).T @ dz_g for mask, dz_g in _with_masks(masks, a, dz)]
    return np.concatenate(products, axis=-1)


def _weights_gradient(
    a: np.ndarray, dz: np.ndarray, masks: np.ndarray | None, live: np.ndarray
) -> np.ndarray:
    """(a * mask_g)^T dz_g for the gates g side by side; a and dz are (batch, timesteps, ...).

    What a holds where live is false does not count, even if it is not a number.
    """
    if masks is None:
        return np.tensordot(np.where(live, a, 0), dz, axes=((0, 1), (0, 1)))
    parts = _with_masks(masks, a, dz)
    products = [_weights_gradient(a * mask, dz_g, None, live) for mask, dz_g in parts]
    return np.concatenate(products, axis=-1)


_OWN_ROWS = 0


class Cell:
    """An LSTM cell of one value of the weights, and its passes: see `cylstm._core.Cell`.

    Parameters
    ----------
    kernel, recurrent_kernel, bias : ndarray, bias or None
        (input_dim, 4 units), (units, 4 units) and (4 units,), float32 or float64.
    own : ndarray, optional
        Further weights, which a variant of the cell alone reads; this one has none.
    activation, recurrent_activation : int or callable
        A number of ACTIVATIONS, or a function of arrays.
    """

    def __init__(
        self,
        kernel: np.ndarray,
        recurrent_kernel: np.ndarray,
        bias: np.ndarray | None,
        own: np.ndarray | None = None,
        *,
        activation: Activation,
        recurrent_activation: Activation,
    ) -> None:
        dtype = np.dtype("float64" if getattr(kernel, "dtype", None) == "float64" else "float32")
        for name, array in (("kernel", kernel), ("recurrent_kernel", recurrent_kernel)):
            _expect_dtype(name, array, dtype)
            if array.ndim != 2:
                raise ValueError(f"{name} must have two axes, got the shape {array.shape}")
        units = len(recurrent_kernel)
        turned = kernel.flags.f_contiguous and recurrent_kernel.flags.f_contiguous
        _expect("kernel", kernel, dtype, (len(kernel), 4 * units), turned)
        _expect("recurrent_kernel", recurrent_kernel, dtype, (units, 4 * units), turned)
        if bias is not None:
            _expect("bias", bias, dtype, (4 * units,))
        if own is not None:
            _expect("own", own, dtype, (_OWN_ROWS, units))
        self.own = own
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self.input_dim, self.units, self._dtype = len(kernel), units, dtype
        self._phi, self._sigma = _function(activation), _function(recurrent_activation)
        self._activations = activation, recurrent_activation

    def forward(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        states: Sequence[np.ndarray] | None,
        input_masks: np.ndarray | None,
        recurrent_masks: np.ndarray | None,
        go_backwards: bool,
        zero_leading: bool,
        sequence: bool,
        final_states: bool,
        keep: bool,
        pool: object,
    ) -> tuple[Any, Any, Any, Any]:
        """Run the sequence: (F1) to (F5). A pool, which speeds the core up, has no meaning here."""
        h, c = self._checked(inputs, mask, states, input_masks, recurrent_masks)
        batch, timesteps, _ = inputs.shape
        units, phi, sigma = self.units, self._phi, self._sigma
        outputs = np.empty((batch, timesteps, units), self._dtype)
        cache = np.empty(6 * batch * timesteps * units, self._dtype) if keep else None
        z, output = np.empty((batch, 4 * units), self._dtype), np.zeros_like(h)
        for s, t in _times(timesteps if batch else 0, go_backwards):
            live = True if mask is None else mask[:, t, None] != 0
            z[:] = gate_product(inputs[:, t], self.kernel, input_masks)  # (F1)
            z += gate_product(h, self.recurrent_kernel, recurrent_masks)  # (F2)
            if self.bias is not None:
                z += self.bias
            z_i, z_f, z_c, z_o = _gates(z)
            i, f, g, o = sigma(z_i), sigma(z_f), phi(z_c), sigma(z_o)  # (F3)
            h_before = h
            c = np.where(live, f * c + i * g, c)  # (F4)
            h = np.where(live, o * phi(c), h)  # (F5)
            output = np.where(live, h, output) if zero_leading else h
            outputs[:, s] = output
            if cache is not None:
                gates, cells, hidden = _parts(cache, outputs.shape)
                gates[:, t] = np.where(live, np.concatenate([i, f, g, o], axis=-1), 0)
                cells[:, t], hidden[:, t] = c, h_before
        final_h = h.copy() if final_states or not sequence else None
        return outputs if sequence else None, final_h, c.copy() if final_states else None, cache

    def backward(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        states: Sequence[np.ndarray] | None,
        input_masks: np.ndarray | None,
        recurrent_masks: np.ndarray | None,
        go_backwards: bool,
        zero_leading: bool,
        pool: object,
        *,
        cache: np.ndarray,
        d_outputs: np.ndarray | None,
        d_final_h: np.ndarray | None,
        d_final_c: np.ndarray | None,
        d_states: bool,
        d_inputs: bool = True,
        d_weights: bool = True,
    ) -> list[np.ndarray | None]:
        """Back-propagate through the sequence: (B5) to (B1)."""
        initial_h, initial_c = self._checked(inputs, mask, states, input_masks, recurrent_masks)
        batch, timesteps, _ = inputs.shape
        shape = batch, timesteps, self.units
        _expect("cache", cache, self._dtype, (6 * batch * timesteps * self.units,))
        self._expect_if_given("d_outputs", d_outputs, shape)
        self._expect_if_given("d_final_h", d_final_h, initial_h.shape)
        self._expect_if_given("d_final_c", d_final_c, initial_c.shape)
        if mask is None:
            mask = np.ones((batch, timesteps), bool)
        slopes = [_derivative(activation) for activation in self._activations]
        hidden = _parts(cache, shape)[2]
        z = gate_product(inputs, self.kernel, input_masks)
        z += gate_product(hidden, self.recurrent_kernel, recurrent_masks)
        if self.bias is not None:
            z += self.bias
        # the steps whose output is a state; others are constant zeros
        order = slice(None, None, -1 if go_backwards else 1)
        started = np.logical_or.accumulate(mask[:, order] != 0, axis=1) | (not zero_leading)
        d_outputs = np.zeros(shape, self._dtype) if d_outputs is None else d_outputs
        d_outputs = np.where(started[:, :, None], d_outputs, 0)
        dh = np.zeros_like(initial_h) if d_final_h is None else d_final_h
        dc = np.zeros_like(initial_c) if d_final_c is None else d_final_c
        dz = np.empty((batch, timesteps, 4 * self.units), self._dtype)
        for s, t in reversed(list(_times(timesteps if batch else 0, go_backwards))):
            live = mask[:, t, None] != 0
            c_before = _c_before(cache, shape, initial_c, s, t, go_backwards)
            dh = dh + d_outputs[:, s]
            dz_now, dc_before = self._undo(slopes, z[:, t], cache, shape, t, c_before, dh, dc)
            dz[:, t] = np.where(live, dz_now, 0)
            dc = np.where(live, dc_before, dc)
            dh_before = gate_product_backward(dz[:, t], self.recurrent_kernel, recurrent_masks)
            dh = np.where(live, dh_before, dh)  # (B2)
        live = mask[:, :, None] != 0
        return [
            np.where(live, gate_product_backward(dz, self.kernel, input_masks), 0)
            if d_inputs
            else None,
            np.array(dh) if d_states else None,
            np.array(dc) if d_states else None,
            _weights_gradient(inputs, dz, input_masks, live) if d_weights else None,  # (B1)
            _weights_gradient(hidden, dz, recurrent_masks, live) if d_weights else None,
            dz.sum(axis=(0, 1)) if d_weights and self.bias is not None else None,
        ]

    def _undo(
        self,
        slopes: list[activations.VectorJacobianProduct],
        z: np.ndarray,
        cache: np.ndarray,
        shape: tuple[int, ...],
        t: int,
        c_before: np.ndarray,
        dh: np.ndarray,
        dc: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(B5) to (B3) of one step: dz, and dc of the step before."""
        phi_vjp, sigma_vjp = slopes
        gates, cells, _ = _parts(cache, shape)
        z_i, z_f, z_c, z_o = _gates(z)
        i, f, g, o = _gates(gates[:, t])
        c = cells[:, t]
        activated = self._phi(c)
        do = dh * activated  # (B5)
        dc = dc + phi_vjp(c, activated, dh * o)
        di, df, dg = dc * g, dc * c_before, dc * i  # (B4)
        dz = [  # (B3)
            sigma_vjp(z_i, i, di),
            sigma_vjp(z_f, f, df),
            phi_vjp(z_c, g, dg),
            sigma_vjp(z_o, o, do),
        ]
        return np.concatenate(dz, axis=-1), dc * f

    def _expect_if_given(self, name: str, array: Any, shape: tuple[int, ...]) -> None:
        """Raise as the core does where an array, if there is one, is not what it should be."""
        if array is not None:
            _expect(name, array, self._dtype, shape)

    def _checked(
        self, inputs: Any, mask: Any, states: Any, input_masks: Any, recurrent_masks: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The initial states, once what both passes read fits together."""
        _expect_dtype("inputs", inputs, self._dtype)
        if inputs.ndim != 3 or inputs.shape[2] != self.input_dim:
            expected = f"(batch, timesteps, {self.input_dim})"
            raise ValueError(f"inputs has the shape {inputs.shape}, expected {expected}")
        if inputs.size and inputs.shape[2] > 1 and inputs.strides[2] != inputs.itemsize:
            raise ValueError("the last axis of inputs is not contiguous")
        batch, timesteps, _ = inputs.shape
        state = batch, self.units
        if mask is not None:
            _expect("mask", mask, np.dtype(bool), (batch, timesteps))
        of_inputs = _mask_gates(input_masks), batch, self.input_dim
        self._expect_if_given("input_masks", input_masks, of_inputs)
        of_states = _mask_gates(recurrent_masks), batch, self.units
        self._expect_if_given("recurrent_masks", recurrent_masks, of_states)
        if states is None:
            return np.zeros(state, self._dtype), np.zeros(state, self._dtype)
        if len(states) != 2:
            raise ValueError(f"the states are h and c, got {len(states)}")
        initial_h, initial_c = states
        self._expect_if_given("initial_h", initial_h, state)
        self._expect_if_given("initial_c", initial_c, state)
        return (
            np.zeros(state, self._dtype) if initial_h is None else initial_h,
            np.zeros(state, self._dtype) if initial_c is None else initial_c,
        )


def _parts(cache: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The cache as gates, c after each step, and h before it, by time."""
    size = int(np.prod(shape))
    gates, cells, hidden = np.split(cache, [4 * size, 5 * size])
    return gates.reshape(*shape[:2], 4 * shape[2]), cells.reshape(shape), hidden.reshape(shape)


def _c_before(
    cache: np.ndarray,
    shape: tuple[int, ...],
    initial_c: np.ndarray,
    s: int,
    t: int,
    go_backwards: bool,
) -> np.ndarray:
    """The cell state before step s, which reads time t."""
    if s == 0:
        return initial_c
    cells = _parts(cache, shape)[1]
    return cells[:, t + 1] if go_backwards else cells[:, t - 1]


class Affine:
    """A product with a matrix, and what follows it: see `cylstm._core.Affine`.

    Parameters
    ----------
    kernel : ndarray
        (features, columns) or (size, features, columns), float32 or float64.
    bias : ndarray or None
        (columns,).
    activation : int or callable
        A number of ACTIVATIONS, or a function of arrays.
    """

    def __init__(
        self, kernel: np.ndarray, bias: np.ndarray | None, *, activation: Activation
    ) -> None:
        dtype = np.dtype("float64" if getattr(kernel, "dtype", None) == "float64" else "float32")
        _expect_dtype("kernel", kernel, dtype)
        if kernel.ndim not in (2, 3):
            raise ValueError(f"kernel must have two or three axes, got the shape {kernel.shape}")
        _expect("kernel", kernel, dtype, kernel.shape)
        if bias is not None:
            _expect("bias", bias, dtype, kernel.shape[-1:])
        self._kernel, self._bias, self._dtype = kernel, bias, dtype
        self._function = _function(activation)

    def forward(
        self,
        inputs: np.ndarray,
        windows: tuple[int, int, int, int] | None,
        pool: object,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Compute the outputs. A pool, which speeds the core up, has no meaning here."""
        kernel, windowed = self._kernel, self._kernel.ndim == 3
        _expect_dtype("inputs", inputs, self._dtype)
        features, columns = kernel.shape[-2:]
        if (inputs.ndim != 3 if windowed else inputs.ndim < 2) or inputs.shape[-1] != features:
            axes = "batch, timesteps" if windowed else "..."
            expected = f"({axes}, {features})"
            raise ValueError(f"inputs has the shape {inputs.shape}, expected {expected}")
        if inputs.size and inputs.shape[-1] > 1 and inputs.strides[-1] != inputs.itemsize:
            raise ValueError("inputs is not contiguous: its last axis")
        if not windowed and windows is not None:
            raise ValueError("a kernel of two axes has no windows")
        rows = _windows(inputs, len(kernel), windows) if windowed else inputs
        shape = (*rows.shape[:-1], columns)
        if out is None:
            out = np.empty(shape, self._dtype)
        _expect("out", out, self._dtype, shape)
        if not out.flags.writeable:
            raise ValueError("out is read-only")
        np.matmul(rows, kernel.reshape(-1, columns), out=out)
        if self._bias is not None:
            out += self._bias
        y = self._function(out)
        if y is not out:
            out[:] = y
        return out


def _windows(x: np.ndarray, size: int, windows: Any) -> np.ndarray:
    """Each window of x (batch, timesteps, features) as one row, (batch, count, size features)."""
    count, stride, dilation, before = windows
    if count < 0 or stride < 1 or dilation < 1 or before < 0:
        raise ValueError(f"{windows} are no windows: count, stride, dilation, before")
    batch, timesteps, features = x.shape
    time = np.arange(count)[:, None] * stride - before + np.arange(size) * dilation
    inside = (time >= 0) & (time < timesteps)
    rows = np.zeros((batch, count, size, features), x.dtype)
    rows[:, inside] = x[:, time[inside]]
    return rows.reshape(batch, count, size * features)
