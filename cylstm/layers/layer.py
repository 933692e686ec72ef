"""Layer: what every layer has in common - building, calling, weights, losses, config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _trace, regularizers
from cylstm._arguments import WholeSignature, suggest_arguments
from cylstm._names import unique_name
from cylstm.graph import Node, SymbolicTensor, is_symbolic
from cylstm.layers import (
    _building,
    _calls,
    _config,
    _inputs,
    _losses,
    _own_code,
    _symbolic,
    _weights,
)
from cylstm.layers._calls import get_input_at as _get_input_at
from cylstm.layers._calls import get_input_mask_at as _get_input_mask_at
from cylstm.layers._calls import get_input_shape_at as _get_input_shape_at
from cylstm.layers._calls import get_output_at as _get_output_at
from cylstm.layers._calls import get_output_mask_at as _get_output_mask_at
from cylstm.layers._calls import get_output_shape_at as _get_output_shape_at
from cylstm.layers._gradients import Gradients
from cylstm.layers._looks import described_layer
from cylstm.layers._losses import add_loss as _add_loss
from cylstm.layers._losses import add_update as _add_update
from cylstm.layers._losses import as_list
from cylstm.layers._losses import get_losses_for as _get_losses_for
from cylstm.layers._losses import get_updates_for as _get_updates_for
from cylstm.layers._options import Penalize
from cylstm.layers._weights import add_variable as _add_variable
from cylstm.layers._weights import add_weight as _add_weight
from cylstm.layers._weights import count_params as _count_params
from cylstm.layers._weights import get_weights as _get_weights
from cylstm.layers._weights import set_weights as _set_weights
from cylstm.layers.input_spec import batch_shape
from cylstm.layers.streams import FrameStream, Streaming
from cylstm.variables import Variable

__all__ = ["Gradients", "Layer"]


class Layer:
    """The base of all layers, as `tf.keras.layers.Layer` of TensorFlow 1.4.

    A subclass defines `build` (create the weights with `add_weight`), `call` (the computation, of
    NumPy or `cylstm.backend`) and, where it changes, `compute_output_shape`. It trains where the
    package autograd is installed, which differentiates `call` with respect to inputs and weights;
    or by a `vjp` of its own. Its configuration is read from the signature of its ``__init__``:
    store each argument under its own name.

    Parameters
    ----------
    trainable : bool, default True
        Whether its weights are to be trained.
    name : str, optional
        Default: the class name in snake case with a number.
    dtype : {"float32", "float64"}, default "float32"
        What the layer computes in; inputs are cast to it.
    activity_regularizer : callable or str, optional
        A penalty of the outputs; see `cylstm.regularizers`.
    input_shape : tuple of (int or None), optional
        The shape of one sample: without the batch axis.
    batch_input_shape : tuple of (int or None), optional
        The shape with the batch axis.
    batch_size : int, optional
        The batch axis to go with `input_shape`.
    weights : list of array_like, optional
        What `set_weights` is to put in once the layer is built.

    Raises
    ------
    TypeError
        For an unknown argument.
    ValueError
        For a dtype other than float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Layer
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight("factor", (input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> Scale()(np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    >>> y, pullback = Scale().vjp(np.array([[2.0, 3.0]]))
    >>> pullback(np.ones((1, 2))).weights[0].tolist()
    [2.0, 3.0]
    """

    framewise = False
    """Whether the outputs at a timestep depend on that timestep of the inputs alone."""

    __signature__: WholeSignature = WholeSignature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        suggest_arguments(cls)

    def __init__(
        self,
        *,
        trainable: bool = True,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        activity_regularizer: Any = None,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        weights: Sequence[npt.ArrayLike] | None = None,
    ) -> None:
        if not isinstance(name, str | None):
            raise TypeError(f"name must be a string, got {_checks.described(name)}.")
        self.name: str = name or unique_name(type(self).__name__)
        self.trainable: bool = bool(trainable)
        self._dtype = np.dtype("float32" if dtype is None else _checks.float_dtype(dtype))
        self.activity_regularizer: Penalize = regularizers.get(activity_regularizer)
        self.batch_input_shape: tuple[int | None, ...] | None = batch_shape(
            input_shape, batch_input_shape, batch_size
        )
        self._initial_weights = weights
        self.built: bool = False
        self.supports_masking = False
        self.input_spec: Any = None  # a list of InputSpec
        self._variables: list[Variable] = []
        self._losses: list[_losses.Entry] = []
        self._updates: list[_losses.Entry] = []
        self._activity_losses: list[float] = []
        self.inbound_nodes: list[Node] = []
        self.outbound_nodes: list[Node] = []
        super().__init__()

    @property
    def dtype(self) -> str:
        """The name of the dtype the layer computes in."""
        return self._dtype.name

    # ------------------------------------------------------------------ weights

    add_weight = _add_weight
    add_variable = _add_variable
    get_weights = _get_weights
    set_weights = _set_weights
    count_params = _count_params

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training updates: none while the layer is frozen."""
        return _weights.trained(self)

    @trainable_weights.setter
    def trainable_weights(self, weights: Sequence[Variable]) -> None:
        _weights.replace(self, weights, trainable=True)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone; those of a frozen layer all are."""
        return _weights.fixed(self)

    @non_trainable_weights.setter
    def non_trainable_weights(self, weights: Sequence[Variable]) -> None:
        _weights.replace(self, weights, trainable=False)

    @property
    def weights(self) -> list[Variable]:
        """All weights, the trainable ones first."""
        return self.trainable_weights + self.non_trainable_weights

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    # ------------------------------------------------------------------ losses and updates

    add_loss = _add_loss
    add_update = _add_update
    get_losses_for = _get_losses_for
    get_updates_for = _get_updates_for

    @property
    def losses(self) -> list[Any]:
        """The losses beside that of the task: of the weights, added ones, of the last outputs."""
        return _losses.own_losses(self)

    @property
    def updates(self) -> list[Any]:
        """What `add_update` was given."""
        return [update for update, _ in self._updates]

    def _penalised_weights(self) -> list[Variable]:
        """The weights whose penalties a model adds to its loss."""
        return _losses.penalised_weights(self)

    # ------------------------------------------------------------------ symbolic calls

    get_input_at = _get_input_at
    get_output_at = _get_output_at
    get_input_shape_at = _get_input_shape_at
    get_output_shape_at = _get_output_shape_at
    get_input_mask_at = _get_input_mask_at
    get_output_mask_at = _get_output_mask_at

    @property
    def scope_name(self) -> str:
        """The name under which the layer was first used: its own.

        Raises
        ------
        ValueError
            If it has not been used yet.
        """
        if not self.built:
            raise ValueError(f"Layer {self.name} has not been used yet, so it has no scope.")
        return self.name

    @property
    def input(self) -> Any:
        """The input tensor, or list of tensors, of the only call.

        Raises
        ------
        AttributeError
            If the layer has no node, or several.
        """
        return _calls.of_the_call(self, "input")

    @property
    def output(self) -> Any:
        """The output tensor, or list of tensors, of the only call; errors as `input`."""
        return _calls.of_the_call(self, "output")

    @property
    def input_mask(self) -> Any:
        """The input mask, or list of masks, of the only call; errors as `input`."""
        return _calls.of_the_call(self, "input", "mask")

    @property
    def output_mask(self) -> Any:
        """The output mask, or list of masks, of the only call; errors as `input`."""
        return _calls.of_the_call(self, "output", "mask")

    @property
    def input_shape(self) -> Any:
        """The input shape, or list of shapes, if it is the same in all calls.

        Raises
        ------
        AttributeError
            If the layer has no node, or nodes of different shapes.
        """
        return _calls.of_all_calls(self, "input")

    @property
    def output_shape(self) -> Any:
        """The output shape, or list of shapes, if the same in all calls; errors likewise."""
        return _calls.of_all_calls(self, "output")

    # ------------------------------------------------------------------ calling

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape (batch axis included; None where unknown).

        A subclass overrides it and calls `add_weight`.
        """
        self.built = True

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from arrays of the layer's dtype. A subclass overrides it.

        Where the layer has no `vjp` of its own, the arrays are traced: they compute as NumPy's do
        (`cylstm.backend`, operators, NumPy's functions), and nothing can write to them.
        """
        return inputs

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Check the inputs, build on first use, and `call`.

        Parameters
        ----------
        inputs : array_like or list of array_like
            Cast to the dtype of the layer; never changed. Of symbolic tensors nothing is
            computed: a node is recorded, and symbolic tensors come back.
        *args, **kwargs
            Passed on to `call`, such as `mask` and `training`.

        Raises
        ------
        ValueError, TypeError
            If an input does not fit; the layer is then unchanged.
        """
        if is_symbolic(inputs):
            if args:
                raise ValueError("Give the arguments of a symbolic call by name.")
            return self._connect(as_list(inputs), kwargs)
        if _trace.is_traced(inputs):
            return _own_code.called_within(self, inputs, args, kwargs)
        arrays = self._as_arrays(inputs)
        self._ensure_built(arrays)
        outputs = self._computed(arrays, *args, **kwargs)
        if self.activity_regularizer is not None:
            self._record_activity(outputs)
        return outputs

    def _computed(self, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        """What `call` gives for checked arrays; they stay as they are, whoever wrote `call`."""
        if _own_code.is_written_as_call(type(self)):
            return _own_code.computed(self, arrays, args, kwargs)
        return self.call(arrays, *args, **kwargs)

    def apply(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The same as calling the layer."""
        return self(inputs, *args, **kwargs)

    def vjp(self, inputs: Any, *args: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], Gradients]]:
        """Compute the outputs, and the function that pulls gradients back through them.

        It follows `call`, by the package autograd; a subclass that overrides it does without.

        Parameters
        ----------
        inputs : array_like or list of array_like
            As for calling the layer.
        *args, **kwargs
            Passed on to `call`, such as `mask` and `training`.

        Returns
        -------
        outputs : ndarray or list of ndarray
            As calling the layer gives.
        pullback : callable
            ``pullback(cotangents)``, with cotangents like the outputs, gives `Gradients`. It
            may be called any number of times; do not change the inputs before.

        Raises
        ------
        TypeError
            If autograd is not installed, or `call` does what it cannot follow.
        """
        arrays = self._as_arrays(inputs)
        self._ensure_built(arrays)
        outputs, pull = _own_code.differentiated(self, arrays, args, kwargs)
        self._record_activity(outputs)

        def pullback(cotangents: Any) -> Gradients:
            (d_inputs,), d_weights = pull(cotangents)
            return Gradients(d_inputs, None, d_weights)

        return outputs, pullback

    def stream(self, batch_size: int = 1) -> Streaming:
        """A stream: an object that is called with one timestep after the other.

        Parameters
        ----------
        batch_size : int, default 1
            How many sequences go side by side.

        Returns
        -------
        stream
            Called with (batch_size, features), it returns what the layer gives at that timestep. It
            keeps the weights of this moment. See `cylstm.layers.Stream`.

        Raises
        ------
        ValueError
            If the layer is not built, or needs more than one timestep at a time; a layer of your
            own says by ``framewise = True`` that it does not.
        """
        self._check_stream(batch_size)
        if not self.framewise:
            raise ValueError(
                f"Layer {self.name} ({type(self).__name__}) needs more than one timestep at a "
                "time, as far as is known, so it cannot stream."
            )
        return FrameStream(self)

    def _check_stream(self, batch_size: int) -> None:
        _checks.positive_int(batch_size, "batch_size")
        if not self.built:
            raise ValueError(
                f"Layer {self.name} is not built: call it, or `build` it with an input shape."
            )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the outputs for inputs of this shape; by default the same."""
        return input_shape

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the outputs: by default that of the inputs.

        Raises
        ------
        TypeError
            If a mask is given to a layer that does not support masking.
        """
        if not self.supports_masking and any(m is not None for m in as_list(mask)):
            raise TypeError(f"Layer {self.name} does not support masking, but was given a mask.")
        return mask if self.supports_masking else None

    def _sublayers(self) -> list[Layer]:
        """The layers that it is made of: of wrappers and models."""
        return []

    @property
    def _gives_lookups(self) -> bool:
        """Whether a model may hand on `_lookups.Lookups` from the layer in place of an array."""
        return False

    @property
    def _reads_lookups(self) -> bool:
        """Whether it may hand them to the layer."""
        return False

    def _inner_run(self, inputs: Any, mask: Any, training: bool, keep: bool) -> Any:
        """A run through what is within, of a model that is a layer of another; else None."""
        return None

    def _as_arrays(self, inputs: Any) -> Any:
        """The inputs as arrays of the layer's dtype that fit `input_spec`."""
        return _inputs.checked_arrays(self, inputs)

    def _cast(self, value: Any, what: str) -> np.ndarray:
        """An input as an array of the dtype the layer reads; `what` names it in errors."""
        return _checks.as_array(value, self._dtype, what)

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        _inputs.check_shapes(self, shapes)

    def _ensure_built(self, inputs: Any) -> None:
        """Build for these arrays on first use; a failure leaves the layer as it was."""
        if not self.built or self._initial_weights is not None:
            shapes = [np.shape(x) for x in as_list(inputs)]
            self._ensure_built_for(shapes if isinstance(inputs, list) else shapes[0])

    def _ensure_built_for(self, input_shape: Any) -> None:
        """Build for this shape, or list of shapes, on first use, and put in given weights."""
        _building.build_for(self, input_shape)

    def _undo(self) -> Callable[[], None]:
        """A function that puts the attributes back to what they are now."""
        return _building.undo_of(self)

    # ------------------------------------------------------------------ recording a symbolic call

    def _connect(self, tensors: list[SymbolicTensor], arguments: dict[str, Any]) -> Any:
        """Build, record a node, and return symbolic outputs."""
        return _symbolic.connect(self, tensors, arguments)

    def _symbolic_shapes(self, tensors: list[SymbolicTensor], shape: Any) -> Any:
        """The shape of the output, or a list of shapes, for symbolic tensors."""
        same = type(self).compute_output_shape is Layer.compute_output_shape
        if same and isinstance(shape, list):
            raise ValueError(
                f"Layer {self.name} ({type(self).__name__}) takes {len(shape)} inputs, and does "
                "not say what shape comes of them: define compute_output_shape(input_shape)."
            )
        return _own_code.as_shapes(self.compute_output_shape(shape))

    def _declared_shapes(self, input_shape: Any) -> Any:
        """The shape, or list of shapes, that the outputs are to have; None where none is said."""
        return _own_code.as_shapes(self.compute_output_shape(input_shape))

    def _note_call(self, node: Node) -> None:
        """Enter the losses and updates that come with a symbolic call."""
        if self.activity_regularizer is not None:
            losses = [SymbolicTensor((), self.dtype, f"{self.name}/activity_loss")]
            self.add_loss(losses * len(node.output_tensors), inputs=node.input_tensors)

    def _symbolic_masks(
        self, tensors: list[SymbolicTensor], outputs: int
    ) -> list[SymbolicTensor | None]:
        """What stands for the masks of the outputs."""
        own = type(self).compute_mask is not Layer.compute_mask
        masked = any(tensor.mask is not None for tensor in tensors)
        return _symbolic.masks(self, tensors, outputs) if own or masked else [None] * outputs

    def _record_activity(self, outputs: Any) -> None:
        if self.activity_regularizer is not None:
            self._activity_losses = [
                regularizers.penalty(self.activity_regularizer, y) for y in as_list(outputs)
            ]

    # ------------------------------------------------------------------ config

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again, as plain JSON values."""
        return _config.config_of(self, Layer)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new layer with the configuration that `get_config` returned."""
        return cls(**config)

    def _twin(self) -> Self:
        """A layer of the same configuration, with new weights and unconnected."""
        return type(self).from_config(self.get_config())

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which are not connected to what the layer is connected to."""
        state = vars(self) | {"inbound_nodes": [], "outbound_nodes": []}
        for name in ("_losses", "_updates"):
            state[name] = [entry for entry in state[name] if not is_symbolic(entry[1])]
        return state

    def __repr__(self) -> str:
        return described_layer(self, _config.own_arguments(type(self), Layer))


suggest_arguments(Layer)
