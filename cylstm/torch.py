"""`torch.nn.LSTM` on the kernels of cylstm, forward and backward, by PyTorch's own autograd.

PyTorch is not installed with cylstm: ``pip install 'cylstm[torch]'``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cylstm import _threads, activations
from cylstm.layers import _engines

try:
    import torch
except ImportError as _error:
    raise ImportError(
        f"cylstm.torch needs PyTorch, which cannot be imported ({_error}): "
        "pip install 'cylstm[torch]'"
    ) from _error

from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

__all__ = ["LSTM"]

_TANH, _SIGMOID = activations.get("tanh"), activations.get("sigmoid")
_DTYPES: dict[Any, Any] = {torch.float32: np.dtype("float32"), torch.float64: np.dtype("float64")}


class LSTM(torch.nn.LSTM):
    """`torch.nn.LSTM`, which it is in all but what computes it: cylstm, on the CPU.

    Arguments, weights, their names and start, and ``state_dict`` are those of `torch.nn.LSTM`, from
    which it is derived; so are inputs and results, to rounding, and the draws of dropout.

    Parameters
    ----------
    input_size, hidden_size : int
        The sizes of the inputs, and of the output and both states.
    num_layers : int, default 1
        Levels, each of which reads the outputs of the one below.
    bias : bool, default True
        Whether there are biases: two, which are added.
    batch_first : bool, default False
        Inputs and outputs are (batch, time, features) instead of (time, batch, features).
    dropout : float, default 0
        The share of the outputs of each level but the last that is dropped in training.
    bidirectional : bool, default False
        A second LSTM a level reads backwards.
    proj_size : int, default 0
        Must be 0: cylstm has no projections.
    device : torch.device or str, optional
        Where the weights are made; they must be on the CPU when they are used.
    dtype : torch.dtype, optional
        torch.float32 or torch.float64; by default PyTorch's.

    Raises
    ------
    NotImplementedError
        For `proj_size`.
    TypeError
        For another dtype, also of inputs or weights in a call.
    ValueError, RuntimeError
        As `torch.nn.LSTM`; in a call, also for tensors that are not on the CPU.

    Notes
    -----
    A call takes as many of PyTorch's threads as ``torch.get_num_threads()`` says, unless
    `cylstm.set_num_threads` was called or ``CYLSTM_NUM_THREADS`` is set: then cylstm's own. Weights
    are packed for the kernels in each call that a backward pass may follow; where none can, under
    ``torch.no_grad`` for example, they stay packed until one of their numbers is another. Gradients
    of gradients are refused, as is what needs a graph of PyTorch's own operations: TorchScript,
    ``torch.export``, ``torch.func``. ``torch.compile`` leaves it out of its graphs.

    Examples
    --------
    >>> import torch
    >>> import cylstm.torch
    >>> lstm = cylstm.torch.LSTM(3, 4, num_layers=2, batch_first=True)
    >>> output, (h, c) = lstm(torch.ones(2, 5, 3))
    >>> output.shape, h.shape
    (torch.Size([2, 5, 4]), torch.Size([2, 2, 4]))
    >>> output.sum().backward()
    >>> lstm.weight_ih_l0.grad.shape
    torch.Size([16, 3])

    In place of one that there is, or the other way round:

    >>> lstm.load_state_dict(torch.nn.LSTM(3, 4, num_layers=2).state_dict())
    <All keys matched successfully>
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if proj_size:
            raise NotImplementedError(
                f"proj_size is {proj_size}: cylstm has no LSTM with projections. Leave it 0, or "
                "take torch.nn.LSTM."
            )
        _check_dtype(torch.get_default_dtype() if dtype is None else dtype, "dtype")
        super().__init__(
            input_size, hidden_size, num_layers=num_layers, bias=bias, batch_first=batch_first,
            dropout=dropout, bidirectional=bidirectional, device=device, dtype=dtype,
        )  # fmt: skip
        self._kept: dict[int, tuple[list[np.ndarray], _engines.Cell]] = {}

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state | {"_kept": {}}  # packed weights belong to one process

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Read sequences; called by ``lstm(input, hx)``.

        Parameters
        ----------
        input : torch.Tensor or PackedSequence
            (time, batch, input_size), with `batch_first` (batch, time, input_size), or (time,
            input_size): one sequence.
        hx : tuple of torch.Tensor, optional
            h and c to start from, (levels * directions, batch, hidden_size) each, without batch for
            one sequence; zeros without them.

        Returns
        -------
        output : torch.Tensor or PackedSequence
            h of the last level at all times, forwards and backwards side by side.
        (h, c) : tuple of torch.Tensor
            The last states, as `hx`.
        """
        if torch.is_autocast_enabled("cpu"):
            dtype = self.all_weights[0][0].dtype  # the precision in which cylstm computes
            input, hx = input.to(dtype), None if hx is None else tuple(s.to(dtype) for s in hx)
        if isinstance(input, PackedSequence):
            return self._of_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {input.dim()}D instead")
        if input.dim() == 3:
            return self._of_batch(input, hx)
        axis = 0 if self.batch_first else 1
        if hx is not None:
            if not hx[0].dim() == hx[1].dim() == 2:
                raise RuntimeError(
                    "For unbatched 2-D input, hx and cx should also be 2-D but got "
                    f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
                )
            hx = tuple(state.unsqueeze(1) for state in hx)
        output, (h, c) = self._of_batch(input.unsqueeze(axis), hx)
        return output.squeeze(axis), (h.squeeze(1), c.squeeze(1))

    def _of_batch(self, input: Any, hx: Any) -> Any:
        """Sequences of one length, with a batch axis."""
        weights = self._checked(input, hx, None)
        x = input if self.batch_first else input.transpose(0, 1)
        y, states = self._through_levels(weights, x, hx, _Rectangle())
        return (y if self.batch_first else y.transpose(0, 1).contiguous()), states

    def _of_packed(self, input: Any, hx: Any) -> Any:
        """Sequences of unequal lengths, the longest first."""
        data, sizes, order, back = input
        if hx is not None:
            hx = self.permute_hidden(hx, order)
        weights = self._checked(data, hx, sizes)
        rows = _Ragged(sizes)
        y, states = self._through_levels(weights, rows.padded(data), hx, rows)
        return PackedSequence(rows.packed(y), sizes, order, back), self.permute_hidden(states, back)

    def _checked(self, input: Any, hx: Any, sizes: Any) -> list[list[Any]]:
        """The weights of each direction of each level, if all fits."""
        weights: list[list[Any]] = self.all_weights
        dtype = weights[0][0].dtype
        _check_dtype(dtype, "the dtype of the weights")
        states = () if hx is None else tuple(hx)
        for tensor in (input, *states, *(w for part in weights for w in part)):
            if tensor.device.type != "cpu":
                raise RuntimeError(
                    f"cylstm.torch.LSTM computes on the CPU, got a tensor on {tensor.device}: move "
                    "it and the module there by .to('cpu'), or take torch.nn.LSTM."
                )
            if tensor.dtype != dtype:
                raise ValueError(
                    f"Input, states and weights must be of one dtype, got {tensor.dtype} and "
                    f"{dtype}: convert the tensor by .to({dtype}), or the module by "
                    f".to({tensor.dtype})."
                )
        if hx is None:
            self.check_input(input, sizes)
        elif len(states) != 2:
            raise ValueError(f"hx is h and c, got {len(states)} tensors")
        else:
            self.check_forward_args(input, states, sizes)
        return weights

    def _through_levels(
        self, weights: list[list[Any]], x: Any, hx: Any, rows: _Rectangle | _Ragged
    ) -> tuple[Any, tuple[Any, Any]]:
        """The outputs of the last level, (batch, time, features), and all last states."""
        count = 2 if self.bidirectional else 1
        last_states = []
        for level in range(self.num_layers):
            if level and self.training and self.dropout > 0:
                # In the order of PyTorch's numbers, so that a seed drops the same ones.
                x = rows.padded(torch.dropout(rows.packed(x), self.dropout, True))
            part = slice(level * count, (level + 1) * count)
            h, c = (None, None) if hx is None else (hx[0][part], hx[1][part])
            of_level = [w for direction in weights[part] for w in direction]
            if torch.is_grad_enabled() and any(
                t is not None and t.requires_grad for t in (x, h, c, *of_level)
            ):
                x, *states = _Level.apply(x, h, c, rows.mask, count, *of_level)
            else:
                cells = [self._kept_cell(part.start + n, w) for n, w in enumerate(weights[part])]
                x, *states = _outputs(_passes(cells, x, h, c, rows.mask, keep=False))
            last_states.append(states)
        if len(last_states) == 1:
            return x, tuple(last_states[0])
        h, c = (torch.cat(states) for states in zip(*last_states, strict=True))
        return x, (h, c)

    def _kept_cell(self, number: int, weights: list[Any]) -> _engines.Cell:
        """The cell of these weights, packed as before if each is the same to the last bit.

        Their versions would not do: ``weight.data.copy_(...)`` changes weights, and no version.
        """
        arrays = [w.detach().numpy() for w in weights]
        kept, cell = self._kept.get(number, (None, None))
        if cell is None or kept is None or not all(map(_is_same, arrays, kept)):
            cell = _cell(weights)
            self._kept[number] = [array.copy() for array in arrays], cell
        return cell


# Weights and arrays -------------------------------------------------------------------------------


def _check_dtype(dtype: Any, name: str) -> None:
    if dtype not in _DTYPES:
        raise TypeError(
            f"{name} is {dtype}: cylstm computes torch.float32 and torch.float64. Convert the "
            "module by .float(), or take torch.nn.LSTM."
        )


def _is_same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same bits."""
    bits = f"i{b.itemsize}"
    return a.dtype == b.dtype and np.array_equal(a.view(bits), b.view(bits))


def _array(tensor: Any) -> Any:
    """A tensor's numbers, with a copy only where they are not in C order; None for None."""
    return None if tensor is None else tensor.detach().contiguous().numpy()


def _sequences(x: Any) -> np.ndarray:
    """The inputs: the core asks for the last axis to be contiguous, and for no other."""
    x = x.detach()
    array: np.ndarray = (x if x.stride(-1) == 1 else x.contiguous()).numpy()
    return array


def _states(h: Any, c: Any, direction: int) -> list[Any] | None:
    return None if h is None else [_array(h[direction]), _array(c[direction])]


def _cell(weights: Sequence[Any]) -> _engines.Cell:
    """The cell of PyTorch's weights, whose matrices are the transposes of cylstm's: no copies."""
    of_inputs, of_states, *biases = (w.detach() for w in weights)
    bias = biases[0] + biases[1] if biases else None
    matrices = _array(of_inputs).T, _array(of_states).T
    return _engines.made_cell([*matrices, _array(bias), None], _TANH, _SIGMOID)


def _openmp() -> int:
    """The address of the function by which PyTorch's OpenMP lends its threads; 0 without it."""
    for library in Path(torch.__file__).parent.glob("lib/libtorch_cpu.*"):
        try:  # among all that this library, which is loaded, depends on
            function = ctypes.CDLL(str(library)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


_PARALLEL = _openmp()


def _pool() -> Any:
    """The threads of a call: PyTorch's own, if no number was set for cylstm."""
    return _threads.pool_of(torch.get_num_threads(), _PARALLEL)


# Forward and backward -----------------------------------------------------------------------------


def _passes(cells: Sequence[Any], x: Any, h: Any, c: Any, mask: Any, keep: bool) -> list[Any]:
    """What `_core.Cell.forward` returns, for each direction."""
    array = _sequences(x)
    return [
        cell.forward(
            array, mask, _states(h, c, n), None, None, n == 1, False, True, True, keep, _pool
        )
        for n, cell in enumerate(cells)
    ]


def _outputs(results: list[Any]) -> list[Any]:
    """Outputs (batch, time, features) and states (directions, batch, features) of a level."""
    if len(results) == 1:
        y, h, c, _ = results[0]
        arrays = y, h[np.newaxis], c[np.newaxis]
    else:
        (y, h, c, _), (y_back, h_back, c_back, _) = results
        y = np.concatenate((y, y_back[:, ::-1]), axis=2)  # in the order of time, not of steps
        arrays = y, np.stack((h, h_back)), np.stack((c, c_back))
    return [torch.from_numpy(array) for array in arrays]


class _Level(torch.autograd.Function):
    """A level in both passes. All that is kept is PyTorch's, which frees it after the last one."""

    @staticmethod
    def forward(
        ctx: Any, x: Any, h: Any, c: Any, mask: Any, directions: int, *weights: Any
    ) -> tuple[Any, ...]:
        each = len(weights) // directions
        cells = [_cell(weights[n * each : (n + 1) * each]) for n in range(directions)]
        results = _passes(cells, x, h, c, mask, keep=True)
        caches = [torch.from_numpy(result[3]) for result in results]
        ctx.save_for_backward(x, h, c, *caches, *weights)
        ctx.mask, ctx.directions = mask, directions
        ctx.set_materialize_grads(False)
        return tuple(_outputs(results))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Any, d_h: Any, d_c: Any) -> tuple[Any, ...]:
        x, h, c, *saved = ctx.saved_tensors
        of_x, of_h, of_c, _, _, *of_weights = ctx.needs_input_grad
        caches, weights = saved[: ctx.directions], saved[ctx.directions :]
        array, each = _sequences(x), len(of_weights) // ctx.directions
        of_inputs: list[Any] = []  # of each direction: the gradients of x, h and c
        d_weights: list[Any] = []
        for n, cache in enumerate(caches):
            cell = _cell(weights[n * each : (n + 1) * each])
            *d_inputs, d_kernel, d_recurrent_kernel, d_bias = cell.backward(
                array, ctx.mask, _states(h, c, n), None, None, n == 1, False, _pool,
                cache=cache.numpy(), d_outputs=_of_direction(d_y, n, ctx.directions),
                d_final_h=None if d_h is None else _array(d_h[n]),
                d_final_c=None if d_c is None else _array(d_c[n]),
                d_states=of_h or of_c, d_inputs=of_x, d_weights=any(of_weights),
            )  # fmt: skip
            of_inputs.append(d_inputs)
            d_weights += _of_weights(
                [d_kernel, d_recurrent_kernel, d_bias], of_weights[n * each : (n + 1) * each]
            )
        d_xs, d_hs, d_cs = zip(*of_inputs, strict=True)
        return (
            torch.from_numpy(d_xs[0] if len(d_xs) == 1 else d_xs[0] + d_xs[1]) if of_x else None,
            torch.from_numpy(np.stack(d_hs)) if of_h else None,
            torch.from_numpy(np.stack(d_cs)) if of_c else None,
            None,
            None,
            *d_weights,
        )


def _of_direction(d_y: Any, direction: int, directions: int) -> np.ndarray | None:
    """The gradient of a direction's outputs, by its steps."""
    if d_y is None:
        return None
    array = d_y.detach().numpy()
    if directions == 1:
        return np.ascontiguousarray(array)
    size = array.shape[2] // 2
    return np.ascontiguousarray(array[:, ::-1, size:] if direction else array[:, :, :size])


def _of_weights(d_matrices: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """The gradients of PyTorch's weights, of which those that are not wanted are None."""
    d_kernel, d_recurrent_kernel, d_bias = d_matrices
    found = [
        torch.from_numpy(np.ascontiguousarray(matrix.T)) if want else None  # no copy of a transpose
        for matrix, want in zip((d_kernel, d_recurrent_kernel), wanted, strict=False)
    ]
    # Each bias has memory of its own, which whoever takes the gradients may write to.
    return found + [torch.tensor(d_bias) if want else None for want in wanted[2:]]


# Sequences, packed and padded ---------------------------------------------------------------------


class _Rectangle:
    """Sequences of one length. Packed means: by time, as PyTorch has them between levels."""

    mask = None

    def packed(self, x: Any) -> Any:
        return x.transpose(0, 1).contiguous()

    def padded(self, x: Any) -> Any:
        return x.transpose(0, 1)


class _Ragged:
    """Sequences of unequal lengths, the longest first, by how many have a number at each time."""

    def __init__(self, sizes: Any) -> None:
        counts = sizes.numpy()
        by_time = np.arange(counts[0]) < counts[:, np.newaxis]
        times, rows = by_time.nonzero()
        self.mask = np.ascontiguousarray(by_time.T)
        self._places = rows * len(counts) + times

    def packed(self, x: Any) -> Any:
        return _Packed.apply(x, self._places)

    def padded(self, data: Any) -> Any:
        return _Padded.apply(data, self._places, self.mask.shape)


def _taken(x: Any, places: Any) -> Any:
    # By NumPy: PyTorch's threads would go on spinning where cylstm's are to compute next.
    rows = x.detach().numpy().reshape(-1, x.shape[2])
    return torch.from_numpy(rows.take(places, axis=0))


def _put(data: Any, places: Any, shape: tuple[int, int]) -> Any:
    rows = np.zeros((shape[0] * shape[1], data.shape[1]), _DTYPES[data.dtype])
    rows[places] = data.detach().numpy()
    return torch.from_numpy(rows.reshape(*shape, -1))


class _Packed(torch.autograd.Function):
    """(batch, time, features) to the rows of all times, one after the other."""

    @staticmethod
    def forward(ctx: Any, x: Any, places: Any) -> Any:
        ctx.places, ctx.shape = places, x.shape[:2]
        return _taken(x, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_data: Any) -> tuple[Any, None]:
        return _put(d_data, ctx.places, ctx.shape), None


class _Padded(torch.autograd.Function):
    """The way back: zeros after the last number of each sequence."""

    @staticmethod
    def forward(ctx: Any, data: Any, places: Any, shape: tuple[int, int]) -> Any:
        ctx.places = places
        return _put(data, places, shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_x: Any) -> tuple[Any, None, None]:
        return _taken(d_x, ctx.places), None, None
