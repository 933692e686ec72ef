"""Bidirectional: a recurrent layer for each direction of a sequence."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Unpack, overload

import numpy as np
import numpy.typing as npt

from cylstm import _spellings
from cylstm.graph import is_symbolic
from cylstm.layers._advice import what_is_no_layer
from cylstm.layers._initial_states import split_inputs, symbolic_states
from cylstm.layers._lookups import Lookups
from cylstm.layers._options import WrapperOptions
from cylstm.layers._turns import in_turn
from cylstm.layers.differentiable import Backward, Pulled
from cylstm.layers.layer import Gradients, Layer
from cylstm.layers.recurrent import Recurrent
from cylstm.layers.wrappers import Wrapper

__all__ = ["Bidirectional"]

_MERGE_MODES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Wrapper):
    """Read a sequence in both directions, with a recurrent layer for each.

    Two layers are made from the given one: `forward_layer`, like it, and `backward_layer`, which
    reads the other way and has its own weights. The sequence that the second returns is put back
    into the order of the inputs.

    Parameters
    ----------
    layer : Recurrent
        The model for both layers, such as an `LSTM`; it stays unbuilt itself.
    merge_mode : {"concat", "sum", "mul", "ave", None}, default "concat"
        How the two outputs become one: side by side, forward first; the sum, the product or the
        mean of each element. With None both are returned, in a list.
    weights : list of array_like, optional
        What `set_weights` is to put in once the wrapper is built.
    zero_output_for_mask : bool, default False
        Whether the outputs at masked timesteps of returned sequences are zeros, as since TensorFlow
        2.0, instead of those before.
    **kwargs
        The arguments of `Layer`.

    Attributes
    ----------
    forward_layer, backward_layer : Recurrent
        Their weights, those of the first before those of the second, are the weights of the
        wrapper.

    Raises
    ------
    TypeError
        If `layer` is not recurrent.
    ValueError
        For an unknown `merge_mode`.

    Notes
    -----
    Inputs (batch, timesteps, input_dim), or a list [x, states forward ..., states backward ...];
    outputs as those of the layer, with "concat" twice as wide. With `return_state` the final
    states follow, those of the forward layer first. A mask passes through where sequences are
    returned. Behaviour: `tf.keras.layers.Bidirectional` of TensorFlow 1.4, which has no states,
    given or returned: there as in Keras 2.1. As there, `losses` holds the penalties of the weights
    of both layers, but a model that contains the wrapper adds those of the forward layer only; an
    `activity_regularizer` counts where it is given to the wrapper, not to the layer.

    References
    ----------
    M. Schuster and K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on
    Signal Processing 45(11), 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import LSTM, Bidirectional
    >>> x = np.ones((2, 5, 3))
    >>> Bidirectional(LSTM(4))(x).shape
    (2, 8)
    >>> Bidirectional(LSTM(4, return_sequences=True), merge_mode="sum")(x).shape
    (2, 5, 4)
    """

    @_spellings.bidirectional
    def __init__(
        self,
        layer: Recurrent,
        merge_mode: str | None = "concat",
        weights: Sequence[npt.ArrayLike] | None = None,
        zero_output_for_mask: bool = False,
        **kwargs: Unpack[WrapperOptions],
    ) -> None:
        if not isinstance(layer, Recurrent):
            raise TypeError(
                "Bidirectional wraps a recurrent layer, such as LSTM, got "
                f"{what_is_no_layer(layer)}."
            )
        if merge_mode not in _MERGE_MODES:
            raise ValueError(f"merge_mode must be one of {_MERGE_MODES}, got {merge_mode!r}.")
        super().__init__(layer, weights=weights, **kwargs)
        self.merge_mode = merge_mode
        self.zero_output_for_mask: bool = bool(zero_output_for_mask)
        self.forward_layer: Recurrent = _unbuilt_copy(layer, "forward")
        self.backward_layer: Recurrent = _unbuilt_copy(layer, "backward")
        self.backward_layer.go_backwards = not layer.go_backwards
        self.return_sequences: bool = layer.return_sequences
        self.return_state: bool = layer.return_state
        self.supports_masking = True

    def _sublayers(self) -> list[Layer]:
        return [self.forward_layer, self.backward_layer]

    def _counted_sublayers(self) -> list[Layer]:
        return [self.forward_layer]  # TensorFlow 1.4 loses the penalties of the other

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again; what Keras 2.0 does not know, if given."""
        config = super().get_config()
        if not self.zero_output_for_mask:
            del config["zero_output_for_mask"]
        return config

    def build(self, input_shape: Any) -> None:
        """Build both layers for (batch, timesteps, input_dim), or a list that begins with it."""
        for layer in self._sublayers():
            layer._ensure_built_for(_first_shape(input_shape))
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output, or the list of shapes where several are returned."""
        shapes = self.forward_layer.compute_output_shape(_first_shape(input_shape))
        shape, states = (shapes[0], shapes[1:]) if self.return_state else (shapes, [])
        if self.merge_mode == "concat":
            shape = (*shape[:-1], 2 * shape[-1])
        outputs = [shape] * (2 if self.merge_mode is None else 1) + states + states
        return outputs if len(outputs) > 1 else shape

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The input mask for returned sequences; None for last outputs and states."""
        mask = mask[0] if isinstance(mask, list | tuple) and mask else mask
        outputs = [mask if self.return_sequences else None]
        outputs *= 2 if self.merge_mode is None else 1
        if self.return_state:
            outputs += [None] * (2 * len(self.forward_layer.state_spec))
        return outputs if len(outputs) > 1 else outputs[0]

    # ------------------------------------------------------------------ calling

    def __call__(
        self, inputs: Any, mask: Any = None, training: bool | None = None, initial_state: Any = None
    ) -> Any:
        """Check the inputs, build on first use, and read the sequence in both directions.

        Parameters
        ----------
        inputs : array_like, shape (batch, timesteps, input_dim), or list [x, state, ...]
            Cast to the dtype of the layer; never changed.
        mask : array_like of bool, shape (batch, timesteps), optional
            False where a timestep is to be skipped.
        training : bool, default False
            Whether dropout is applied.
        initial_state : list of array_like, each (batch, units), optional
            The states of the forward layer, then those of the backward layer; in a symbolic call
            as for `LSTM`.

        Returns
        -------
        ndarray or list of ndarray
            See `Bidirectional`.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.
        """
        if is_symbolic(inputs) or is_symbolic(initial_state):
            joined, states = symbolic_states(self, inputs, initial_state)
        else:
            joined, states = _joined(inputs, initial_state), None
        return super().__call__(
            joined, **_given(mask=mask, training=training, initial_state=states)
        )

    def call(
        self, inputs: Any, mask: Any = None, training: bool | None = None, initial_state: Any = None
    ) -> Any:
        """Read the sequence with built layers; arguments and results are those of calling it."""
        return super().call(_joined(inputs, initial_state), mask, training)

    def vjp(
        self, inputs: Any, mask: Any = None, training: bool | None = None, initial_state: Any = None
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        """Read the sequence, and return how to pull gradients back; as `LSTM.vjp`."""
        outputs, pullback = super().vjp(_joined(inputs, initial_state), mask, training)
        if initial_state is None:
            return outputs, pullback

        def split_pullback(cotangents: Any) -> Gradients:
            gradients = pullback(cotangents)
            return Gradients(gradients.inputs[0], gradients.inputs[1:], gradients.weights)

        return outputs, split_pullback

    @property
    def _reads_lookups(self) -> bool:
        """Whether the layer may be called with `Lookups`: where both layers may."""
        both = self._sublayers()
        return type(self) is Bidirectional and all(layer._reads_lookups for layer in both)

    def _as_arrays(self, inputs: Any) -> Any:
        x, states = split_inputs(inputs, None)
        if type(x) is not Lookups:
            x = self._cast(x, f"Input 0 of layer {self.name}")
        self._check_shapes([x.shape])
        if states is None:
            return x
        first, second = self._halves(states)
        of_first = self.forward_layer._checked(x, None, first)[2]
        of_second = self.backward_layer._checked(x, None, second)[2]
        return [x, *(of_first or []), *(of_second or [])]

    def _check_shapes(self, shapes: Any) -> None:
        specs = list(self.forward_layer.input_spec)
        if len(shapes) > 1:
            self._halves(shapes[1:])
            specs += self.forward_layer.state_spec + self.backward_layer.state_spec
        for i, (shape, spec) in enumerate(zip(shapes, specs, strict=True)):
            spec.check(shape, f"Input {i} of layer {self.name}")

    def _note_call(self, node: Any) -> None:
        super()._note_call(node)
        for layer in self._sublayers():
            layer._note_call(node)

    def _constant_states(self, states: list[Any], batch: int | None) -> list[np.ndarray]:
        """As `Recurrent._constant_states`, for the layers of both directions."""
        first, second = self._halves(states)
        found = self.forward_layer._constant_states(first, batch)
        return found + self.backward_layer._constant_states(second, len(found[0]))

    @overload
    def _halves(self, states: list[Any]) -> tuple[list[Any], list[Any]]: ...
    @overload
    def _halves(self, states: None) -> tuple[None, None]: ...
    def _halves(self, states: list[Any] | None) -> tuple[list[Any] | None, list[Any] | None]:
        """The initial states of each layer."""
        if states is None:
            return None, None
        half = len(self.forward_layer.state_spec)
        if len(states) != 2 * half:
            raise ValueError(
                f"Layer {self.name} has {2 * half} states, {half} for each direction, got "
                f"{len(states)}."
            )
        return states[:half], states[half:]

    def forward(
        self, inputs: Any, mask: Any, training: bool, keep: bool
    ) -> tuple[Any, Backward | None]:
        """See `Differentiable.forward`."""
        x, states = split_inputs(inputs, None)
        layers = self._sublayers()
        arguments = [
            _given(mask=mask, training=training, initial_state=half)
            for half in self._halves(states)
        ]
        if not keep:
            with in_turn(self):
                results = [
                    layer.call(x, **kwargs) for layer, kwargs in zip(layers, arguments, strict=True)
                ]
            return self._merged(self._zeroed(results, mask)), None
        with in_turn(self):
            found, pullbacks = zip(
                *(layer.vjp(x, **kwargs) for layer, kwargs in zip(layers, arguments, strict=True)),
                strict=True,
            )
        variables = [layer.trainable_weights for layer in layers]
        results = self._zeroed(found, mask)

        def backward(cotangents: Any) -> Pulled:
            parts = self._zeroed(self._unmerged(cotangents, results), mask)
            ways = [pull(part) for pull, part in zip(pullbacks, parts, strict=True)]
            of_weights = {
                variable: gradient
                for among, way in zip(variables, ways, strict=True)
                for variable, gradient in zip(among, way.weights, strict=True)
            }
            d_inputs = [way.inputs for way in ways]
            if type(x) is Lookups and any(d.shape != x.shape for d in d_inputs):  # by tables
                d_inputs = [x.gradient(d) for d in d_inputs]
            d_inputs = d_inputs[0] + d_inputs[1]
            if states is not None:
                d_inputs = [d_inputs, *ways[0].initial_state, *ways[1].initial_state]
            return d_inputs, of_weights

        return self._merged(results), backward

    # ------------------------------------------------------------------ merging

    def _merged(self, results: Any) -> Any:
        """What the wrapper returns, from the results of both layers."""
        (y, *states), (z, *more) = (r if self.return_state else [r] for r in results)
        outputs = [*_merge(self.merge_mode, y, self._in_order(z)), *states, *more]
        return outputs if len(outputs) > 1 else outputs[0]

    def _unmerged(self, cotangents: Any, results: Any) -> list[Any]:
        """The cotangents of both layers' results, from those of what the wrapper returned."""
        cotangents = cotangents if isinstance(cotangents, list) else [cotangents]
        y, z = (r[0] if self.return_state else r for r in results)
        merged = 2 if self.merge_mode is None else 1
        dy, dz = _unmerge(self.merge_mode, cotangents[:merged], y, self._in_order(z))
        dz = self._in_order(dz)
        if not self.return_state:
            return [dy, dz]
        states = cotangents[merged:]
        half = len(states) // 2
        return [[dy, *states[:half]], [dz, *states[half:]]]

    def _zeroed(self, results: Any, mask: Any) -> list[Any]:
        """The results of both layers, or their cotangents, with zeros where a step is masked."""
        mask = mask[0] if isinstance(mask, list | tuple) and mask else mask
        if mask is None or not (self.zero_output_for_mask and self.return_sequences):
            return list(results)
        found = []
        layers = self.forward_layer, self.backward_layer
        for layer, result in zip(layers, results, strict=True):
            kept = np.asarray(mask, bool)[:, :: -1 if layer.go_backwards else 1, None]
            y, *states = result if self.return_state else [result]
            y = np.where(kept, y, y.dtype.type(0))
            found.append([y, *states] if self.return_state else y)
        return found

    def _in_order(self, sequence: np.ndarray) -> np.ndarray:
        """Turn a sequence of the backward layer round; a last output stays."""
        return sequence[:, ::-1] if self.return_sequences else sequence

    # ------------------------------------------------------------------ states

    def reset_states(self, states: list[Any] | None = None) -> None:
        """Set the states of a stateful wrapper.

        Parameters
        ----------
        states : list of array_like, each (batch, units), default zeros
            Those of the forward layer, then those of the backward layer.

        Raises
        ------
        AttributeError
            If the layers are not stateful.
        ValueError
            If they are not built, or the number or a shape of the states is wrong.
        """
        halves = self._halves(states)
        with in_turn(self):
            before = list(self.forward_layer.states)
            self.forward_layer.reset_states(halves[0])
            try:
                self.backward_layer.reset_states(halves[1])
            except BaseException:
                self.forward_layer.states = before
                raise


def _unbuilt_copy(layer: Recurrent, direction: str) -> Any:
    """A layer of the same configuration, with the direction in its name."""
    fresh = type(layer).from_config(layer.get_config()) if layer.built else copy.deepcopy(layer)
    fresh.name = f"{direction}_{layer.name}"
    fresh.activity_regularizer = None  # as in TensorFlow 1.4, only that of the wrapper counts
    return fresh


def _merge(mode: str | None, y: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    if mode is None:
        return [y, np.ascontiguousarray(z)]
    if mode == "concat":
        return [np.concatenate([y, z], axis=-1)]
    if mode == "mul":
        return [y * z]
    return [y + z if mode == "sum" else (y + z) / 2]


def _unmerge(
    mode: str | None, cotangents: list[np.ndarray], y: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The cotangents of y and z, from those of `_merge(mode, y, z)`."""
    if mode is None:
        return cotangents[0], cotangents[1]
    d = cotangents[0]
    if mode == "concat":
        width = y.shape[-1]
        return d[..., :width], d[..., width:]
    if mode == "mul":
        return d * z, d * y
    return (d, d) if mode == "sum" else (d / 2, d / 2)


def _joined(inputs: Any, initial_state: Any) -> Any:
    """Inputs and initial states as one list; without states, the input alone."""
    x, states = split_inputs(inputs, initial_state)
    return x if states is None else [x, *states]


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _first_shape(input_shape: Any) -> Any:
    return input_shape[0] if isinstance(input_shape, list) else input_shape
