"""LSTM: long short-term memory, forward and backward through the compiled core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import (
    _checks,
    _random,
    activations,
    constraints,
    initializers,
    regularizers,
    streaming,
)
from cylstm.layers import _passes
from cylstm.layers.input_spec import InputSpec
from cylstm.layers.layer import Gradients, as_list
from cylstm.layers.recurrent import Recurrent, split_inputs

__all__ = ["LSTM"]


class _GateView:
    """A gate's part of a weight, as a read-only view of its current value."""

    def __init__(self, weight: str, gate: int) -> None:
        self.weight, self.gate = weight, gate
        self.__doc__ = f"Gate {'ifco'[gate]} of `{weight}`: a read-only view."

    def __get__(self, layer: LSTM | None, owner: type) -> Any:
        if layer is None:
            return self
        variable, units = getattr(layer, self.weight), layer.units
        if variable is None:
            return None
        return variable.value[..., self.gate * units : (self.gate + 1) * units]


class LSTM(Recurrent):
    """Long short-term memory, as `tf.keras.layers.LSTM` of TensorFlow 1.4.

    For each timestep, with x the input, h the output and c the cell state before, and * the
    product of elements::

        i = recurrent_activation(x W_i + h U_i + b_i)        input gate
        f = recurrent_activation(x W_f + h U_f + b_f)        forget gate
        c = f * c + i * activation(x W_c + h U_c + b_c)      cell state
        o = recurrent_activation(x W_o + h U_o + b_o)        output gate
        h = o * activation(c)                                output

    W is `kernel`, (input_dim, 4 units), U `recurrent_kernel`, (units, 4 units), and b `bias`,
    (4 units); each holds its gates in the order i, f, c, o.

    Parameters
    ----------
    units : int
        The size of the output and of both states.
    activation : str or callable, default "tanh"
        Of the cell input and the cell state; None is linear. See `cylstm.activations`.
    recurrent_activation : str or callable, default "hard_sigmoid"
        Of the three gates; hard_sigmoid is ``clip(0.2 x + 0.5, 0, 1)``.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer, recurrent_initializer, bias_initializer : str, callable or dict
        Default "glorot_uniform", "orthogonal" and "zeros". See `cylstm.initializers`.
    unit_forget_bias : bool, default True
        Start the bias of the forget gate at one. The other gates keep `bias_initializer`, as
        TensorFlow computes it (its documentation says that they become zero).
    kernel_regularizer, recurrent_regularizer, bias_regularizer : callable, str or dict, optional
        Penalties of the weights. See `cylstm.regularizers`.
    activity_regularizer : callable, str or dict, optional
        Penalty of the outputs.
    kernel_constraint, recurrent_constraint, bias_constraint : callable, str or dict, optional
        Applied to the weights after each update. See `cylstm.constraints`.
    dropout, recurrent_dropout : float, default 0
        The share of the inputs, and of the outputs fed back, that is dropped in training: the
        same ones at every timestep. Clipped to [0, 1]; at 1, as in TensorFlow, nothing is.
    **kwargs
        The arguments of `Recurrent` (return_sequences, return_state, go_backwards, stateful,
        unroll, implementation, input_dim, input_length) and of `Layer` (input_shape,
        batch_input_shape, batch_size, dtype, name, trainable, weights).

    Attributes
    ----------
    kernel, recurrent_kernel, bias : Variable
        The weights, once the layer is built; `bias` is None without one.
    states : list of ndarray
        Of a stateful layer: h and c, (batch, units) each, that the next call starts from.

    Raises
    ------
    ValueError
        For an unknown name of an activation, initializer, ..., for `units` below 1, NaN dropout.
    TypeError
        For an unknown argument, or one of a wrong type.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997;
    F. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12(10), 2000;
    dropout: Y. Gal and Z. Ghahramani, arXiv:1512.05287. Behaviour: TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> layer = cylstm.LSTM(4)
    >>> layer(np.ones((2, 5, 3))).shape
    (2, 4)

    Gradients, of the sum of the outputs here:

    >>> y, pullback = layer.vjp(np.ones((2, 5, 3)))
    >>> gradients = pullback(np.ones_like(y))
    >>> gradients.inputs.shape, [w.shape for w in gradients.weights]
    ((2, 5, 3), [(3, 16), (4, 16), (16,)])
    """

    kernel_i, kernel_f, kernel_c, kernel_o = (_GateView("kernel", g) for g in range(4))
    recurrent_kernel_i, recurrent_kernel_f, recurrent_kernel_c, recurrent_kernel_o = (
        _GateView("recurrent_kernel", g) for g in range(4)
    )
    bias_i, bias_f, bias_c, bias_o = (_GateView("bias", g) for g in range(4))

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "hard_sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = _checks.positive_int(units, "units")
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.unit_forget_bias = bool(unit_forget_bias)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = _checks.fraction(dropout, "dropout")
        self.recurrent_dropout = _checks.fraction(recurrent_dropout, "recurrent_dropout")
        self.state_spec = [InputSpec(shape=(None, self.units)) for _ in range(2)]
        self.states = [None, None]
        self._packs: _passes.Packs | None = None

    def build(self, input_shape: Any) -> None:
        """Create the weights.

        Parameters
        ----------
        input_shape : tuple, or list of tuples
            (batch, timesteps, input_dim), of which only input_dim must be known (and the batch
            size if the layer is stateful); of a list the first counts.
        """
        shape = tuple(input_shape[0] if isinstance(input_shape, list) else input_shape)
        InputSpec(ndim=3).check(shape, f"Input 0 of layer {self.name}")
        if shape[2] is None:
            raise ValueError(f"Layer {self.name} needs the last axis of its input to be known.")
        batch = self._fixed_batch(shape)
        self.input_dim = _checks.positive_int(shape[2], "input_dim")

        def weight(name: str, shape: tuple[int, ...], prefix: str, initializer: Any) -> Any:
            return self.add_weight(
                name,
                shape,
                initializer=initializer,
                regularizer=getattr(self, f"{prefix}_regularizer"),
                constraint=getattr(self, f"{prefix}_constraint"),
            )

        self.kernel = weight(
            "kernel",
            (self.input_dim, 4 * self.units),
            "kernel",
            self.kernel_initializer,
        )
        self.recurrent_kernel = weight(
            "recurrent_kernel",
            (self.units, 4 * self.units),
            "recurrent",
            self.recurrent_initializer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = weight("bias", (4 * self.units,), "bias", self._initial_bias)
        self.input_spec = [InputSpec(shape=(batch, None, self.input_dim))]
        self.built = True
        if self.stateful:
            self.reset_states()

    def _initial_bias(self, shape: Sequence[int], dtype: npt.DTypeLike = None) -> np.ndarray:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        return np.concatenate(
            [
                self.bias_initializer((self.units,), dtype=dtype),
                np.ones(self.units, dtype),
                self.bias_initializer((2 * self.units,), dtype=dtype),
            ]
        )

    # ------------------------------------------------------------------ forward and backward

    def __call__(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> Any:
        simple = (
            type(inputs) is np.ndarray
            and mask is None
            and initial_state is None
            and not training
            and self.built
            and type(self) is LSTM  # a subclass may have its own ways
            and not (self.stateful or self.return_state)
            and self.activity_regularizer is None
            and self._initial_weights is None
        )
        if simple:
            numbers = _passes.fused_numbers(self.activation, self.recurrent_activation)
            outputs = numbers and _passes.quick_forward(
                self._current_packs(), inputs, numbers, self.go_backwards, self.return_sequences
            )
            if outputs is not None:
                return outputs
        return super().__call__(inputs, mask, training, initial_state)

    __call__.__doc__ = Recurrent.__call__.__doc__

    def vjp(
        self,
        inputs: Any,
        mask: npt.ArrayLike | None = None,
        training: bool | None = None,
        initial_state: Any = None,
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        """Run over the sequence, and return how to pull gradients back through it.

        Parameters
        ----------
        inputs, mask, training, initial_state
            As for calling the layer.

        Returns
        -------
        outputs : ndarray or list of ndarray
            As calling the layer gives.
        pullback : callable
            ``pullback(cotangents)``: given the gradient of a loss with respect to the outputs
            (an array, or a list like the outputs in which None stands for zero), it returns
            `Gradients` with respect to the inputs, the initial states and the trainable
            weights: full back-propagation through time. It may be called any number of times;
            weights may have changed meanwhile, the inputs must not.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit, as for calling the layer; TypeError also where a custom
            activation has no derivative, or a subclass has a `step` of its own.
        """
        if self._has_own_steps():
            raise TypeError(
                f"{type(self).__name__} has its own `step` or `preprocess_input`, so its gradient "
                "is not known: override `vjp` as well to train it."
            )
        for activation in (self.activation, self.recurrent_activation):
            activations.vjp(activation)  # raises where there is no derivative
        x, mask, states = self._checked(inputs, mask, initial_state)
        self._ensure_built(x)
        problem = self._problem(
            x, mask, bool(training), self._first_states(x) if states is None else states
        )
        results, cache = self._forward(problem, keep=True)
        outputs = self._finish(*results)
        self._record_activity(outputs)
        variables = self.trainable_weights
        in_list = split_inputs(inputs, None)[1] is not None

        def pullback(cotangents: Any) -> Gradients:
            d_inputs, d_states, by_variable = self._backward(problem, cache, cotangents)
            d_weights = [
                by_variable[id(v)] if id(v) in by_variable else np.zeros(v.shape, v.dtype)
                for v in variables
            ]
            return Gradients(
                [d_inputs, *d_states] if in_list else d_inputs,
                None if states is None else d_states,
                d_weights,
            )

        return outputs, pullback

    def stream(self, batch_size: int = 1) -> streaming.Stream | streaming.LayerStream:
        """A stream: an object that is called with one frame after the other.

        Parameters
        ----------
        batch_size : int, default 1
            How many sequences go side by side.

        Returns
        -------
        Stream
            Called with (batch_size, input_dim), it returns (batch_size, units), as the layer with
            `return_sequences` gives it at that timestep, starting from zeros. See
            `cylstm.streaming`.

        Raises
        ------
        ValueError
            If the layer is not built, or goes backwards.
        """
        batch_size = _checks.positive_int(batch_size, "batch_size")
        if not self.built:
            raise ValueError(
                f"Layer {self.name} is not built: call it, or `build` it with an input shape."
            )
        if self.go_backwards:
            raise ValueError(f"Layer {self.name} goes backwards: it starts with the last frame.")
        state = [np.zeros((batch_size, self.units), self._dtype) for _ in range(2)]
        numbers = _passes.fused_numbers(self.activation, self.recurrent_activation)
        if numbers is None or type(self) is not LSTM:
            return streaming.LayerStream(self, state)
        return streaming.Stream(self._current_packs().forward(), *numbers, state)

    def _has_own_steps(self) -> bool:
        return type(self).step is not LSTM.step or (
            type(self).preprocess_input is not LSTM.preprocess_input
        )

    def _run(
        self,
        x: np.ndarray,
        mask: np.ndarray | None,
        training: bool,
        states: list[np.ndarray],
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        if self._has_own_steps():
            return super()._run(x, mask, training, states)
        return self._forward(self._problem(x, mask, training, states), keep=False)[0]

    def _problem(
        self,
        x: np.ndarray,
        mask: np.ndarray | None,
        training: bool,
        states: list[np.ndarray],
    ) -> dict[str, Any]:
        """What both passes of the core are given."""
        input_masks, recurrent_masks = self._dropout_masks(x, training)
        packs = self._current_packs()
        return {
            "inputs": x,
            "kernel": packs.kernel,
            "recurrent_kernel": packs.recurrent_kernel,
            "bias": packs.bias,
            "packed": packs,
            "initial_h": states[0],
            "initial_c": states[1],
            "mask": None if mask is None else mask.view(np.uint8),
            "input_masks": input_masks,
            "recurrent_masks": recurrent_masks,
            "activation": _passes.activation_number(self.activation),
            "recurrent_activation": _passes.activation_number(self.recurrent_activation),
            "go_backwards": self.go_backwards,
            "zero_leading": self.unroll,
        }

    def _current_packs(self) -> _passes.Packs:
        """What the core reads of the weights as they are now."""
        kernel, recurrent_kernel = self.kernel.value, self.recurrent_kernel.value
        bias = None if self.bias is None else self.bias.value
        packs = self._packs
        if (
            packs is None
            or packs.kernel is not kernel
            or packs.recurrent_kernel is not recurrent_kernel
            or packs.bias is not bias
        ):
            packs = self._packs = _passes.Packs(kernel, recurrent_kernel, bias)
        return packs

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_packs": None}

    def _forward(self, problem: dict[str, Any], keep: bool) -> tuple[tuple, dict[str, Any]]:
        """The outputs and final states, and what the backward pass needs if it is to be kept."""
        outputs, h, c, cache = _passes.forward(problem, self.return_sequences, keep)
        if outputs is None:
            outputs = h.copy() if self.return_state else h
            outputs[_never_read(problem)] = 0
        return (outputs, [h, c]), cache

    def _backward(
        self, problem: dict[str, Any], cache: dict[str, Any], cotangents: Any
    ) -> tuple[np.ndarray, list[np.ndarray], dict[int, np.ndarray]]:
        """The gradients of the inputs, of both initial states, and of each weight by identity."""
        batch, timesteps, _ = problem["inputs"].shape
        d_outputs, d_h, d_c = self._checked_cotangents(cotangents, batch, timesteps)
        if not self.return_sequences and d_outputs is not None:
            d_last = d_outputs.copy()
            d_last[_never_read(problem)] = 0
            d_h = d_last if d_h is None else d_last + d_h
            d_outputs = None
        found = _passes.backward(problem, cache, d_outputs, d_h, d_c)
        names = ("kernel", "recurrent_kernel", "bias")
        by_variable = {
            id(getattr(self, name)): found[name] for name in names if found[name] is not None
        }
        return found["inputs"], [found["initial_h"], found["initial_c"]], by_variable

    def _checked_cotangents(
        self, cotangents: Any, batch: int, timesteps: int
    ) -> list[np.ndarray | None]:
        """Those of the output, h and c, each of its shape; None where there is none."""
        shapes = as_list(self.compute_output_shape((batch, timesteps, self.input_dim)))
        shapes = shapes if self.return_state else [shapes]
        values = as_list(cotangents) if self.return_state else [cotangents]
        if len(values) != len(shapes):
            raise ValueError(
                f"Layer {self.name} has {len(shapes)} outputs, got {len(values)} cotangents."
            )
        checked: list[np.ndarray | None] = []
        for i, (value, shape) in enumerate(zip(values, shapes, strict=True)):
            if value is not None:
                value = _checks.as_array(value, self._dtype, f"Cotangent {i} of {self.name}")
                InputSpec(shape=shape).check(value.shape, f"Cotangent {i} of {self.name}")
            checked.append(value)
        return checked + [None] * (3 - len(checked))

    # ------------------------------------------------------------------ dropout

    def get_constants(self, inputs: np.ndarray, training: bool | None = None) -> list:
        """The scaled dropout masks: [of the inputs, of the outputs fed back], for i, f, c, o.

        A subclass that overrides it decides the masks. Each is an array, (batch, input_dim) or
        (batch, units), or 1. With `implementation` 2 the first serves all gates; with 0 those of
        the inputs are drawn by `preprocess_input` instead, as in TensorFlow.
        """
        batch = len(inputs)
        rate = self.dropout if training and self.implementation != 0 else 0.0
        recurrent_rate = self.recurrent_dropout if training else 0.0
        return [
            self._drawn_masks(rate, (batch, inputs.shape[-1])),
            self._drawn_masks(recurrent_rate, (batch, self.units)),
        ]

    def _drawn_masks(self, rate: float, shape: tuple[int, int]) -> list:
        """Four masks of zeros and ``1 / (1 - rate)``, or four times the same, or four ones."""
        if not 0 < rate < 1:
            return [self._dtype.type(1)] * 4
        draws = 1 if self.implementation == 2 else 4
        kept = _random.default_generator().random((draws, *shape)) >= rate
        masks = kept.astype(self._dtype) * self._dtype.type(1 / (1 - rate))
        return list(masks) if draws == 4 else [masks[0]] * 4

    def _dropout_masks(
        self, x: np.ndarray, training: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The masks as the core takes them: (1 or 4, batch, size), or None where all are 1."""
        drops = training and (self.dropout > 0 or self.recurrent_dropout > 0)
        if not drops and type(self).get_constants is LSTM.get_constants:
            return None, None
        of_inputs, of_states = self.get_constants(x, training)
        if self.implementation == 0:
            rate = self.dropout if training else 0.0
            of_inputs = self._drawn_masks(rate, (len(x), self.input_dim))
        return (
            self._stacked(of_inputs, (len(x), self.input_dim), "input"),
            self._stacked(of_states, (len(x), self.units), "recurrent"),
        )

    def _stacked(self, masks: Sequence, shape: tuple[int, int], kind: str) -> np.ndarray | None:
        if len(masks) != 4:
            raise ValueError(f"Expected 4 {kind} dropout masks of get_constants, got {len(masks)}.")
        shared = self.implementation == 2 or all(m is masks[0] for m in masks)
        masks = list(masks[:1]) if shared else list(masks)
        if all(np.ndim(m) == 0 and m == 1 for m in masks):
            return None
        stack = np.empty((len(masks), *shape), self._dtype)
        for place, mask in zip(stack, masks, strict=True):
            place[:] = _checks.as_array(mask, self._dtype, f"The {kind} dropout mask")
        return stack

    # ------------------------------------------------------------------ one step at a time

    def preprocess_input(self, inputs: np.ndarray, training: bool | None = None) -> np.ndarray:
        """What `step` reads: with `implementation` 0 the input product of all timesteps.

        Returns
        -------
        ndarray
            (batch, timesteps, 4 units) with `implementation` 0, else `inputs`.
        """
        if self.implementation != 0:
            return inputs
        x = _checks.as_array(inputs, self._dtype, f"Input 0 of layer {self.name}")
        rate = self.dropout if training else 0.0
        masks = self._drawn_masks(rate, (len(x), self.input_dim))
        kernels = (self.kernel_i, self.kernel_f, self.kernel_c, self.kernel_o)
        product = np.concatenate(
            [
                (x if np.ndim(m) == 0 else x * m[:, None]) @ w
                for m, w in zip(masks, kernels, strict=True)
            ],
            axis=2,
        )
        return product if self.bias is None else product + self.bias.value

    def step(self, inputs: np.ndarray, states: list) -> tuple[np.ndarray, list]:
        """One timestep in NumPy, for subclasses; the layer itself runs the compiled core.

        Parameters
        ----------
        inputs : ndarray, shape (batch, input_dim), or (batch, 4 units) with implementation 0
            A timestep of what `preprocess_input` returned.
        states : list
            h and c, (batch, units) each, then the two lists of `get_constants`.

        Returns
        -------
        h : ndarray, shape (batch, units)
        states : list of ndarray
            The new h and c.
        """
        h, c, input_masks, recurrent_masks = states
        bias = 0 if self.bias is None else self.bias.value
        gates = []
        for g in range(4):
            mask = 0 if self.implementation == 2 else g
            part = slice(g * self.units, (g + 1) * self.units)
            if self.implementation == 0:
                z = inputs[:, part]
            else:
                z = (inputs * input_masks[mask]) @ self.kernel.value[:, part]
                z = z + (bias if self.bias is None else bias[part])
            gates.append(z + (h * recurrent_masks[mask]) @ self.recurrent_kernel.value[:, part])
        i, f, o = (self.recurrent_activation(gates[g]) for g in (0, 1, 3))
        c = f * c + i * self.activation(gates[2])
        h = o * self.activation(c)
        return h, [h, c]


def _never_read(problem: dict[str, Any]) -> Any:
    """Index of the rows whose last output is zero: unrolled, and masked at every timestep."""
    mask = problem["mask"]
    if mask is None or not problem["zero_leading"] or mask.shape[1] == 0:
        return slice(0)
    return ~mask.any(axis=1)
