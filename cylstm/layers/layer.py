"""Layer: what every layer has in common - building, calling, weights, losses, config."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cylstm import _blank, _checks, _names, _registry, _trace, regularizers
from cylstm._arguments import NamedArguments
from cylstm.graph import Connectable, Node, SymbolicTensor, is_symbolic
from cylstm.layers._advice import likely_reason
from cylstm.layers._looks import described_layer
from cylstm.layers._losses import LossHolder, as_list
from cylstm.layers._own_code import (
    as_shapes,
    called_within,
    computed,
    differentiated,
    is_written_as_call,
)
from cylstm.layers._weights import WeightHolder
from cylstm.layers.input_spec import AxesError, batch_shape
from cylstm.layers.streams import FrameStream
from cylstm.variables import Variable

__all__ = ["Gradients", "Layer"]


def unique_name(class_name: str) -> str:
    """The next free default name of a class: ``lstm_1``, ``lstm_2``, ``time_distributed_1``."""
    snake = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)
    snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower().lstrip("_")
    return f"{snake}_{_names.next_number(snake)}"


class Gradients(NamedTuple):
    """What a pullback returns: the gradients of ``sum(outputs * cotangents)``.

    Attributes
    ----------
    inputs : ndarray or list of ndarray
        Like the inputs of the call.
    initial_state : list of ndarray, or None
        Like the initial states of the call; None where none were given.
    weights : list of ndarray
        In the order of the layer's ``trainable_weights``.
    """

    inputs: Any
    initial_state: list[np.ndarray] | None
    weights: list[np.ndarray]


class Layer(NamedArguments, WeightHolder, LossHolder, Connectable):
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

    def __init__(
        self,
        *,
        trainable: bool = True,
        name: str | None = None,
        dtype: npt.DTypeLike = None,
        activity_regularizer: Any = None,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        weights: Sequence[npt.ArrayLike] | None = None,
    ) -> None:
        if not isinstance(name, str | None):
            raise TypeError(f"name must be a string, got {_checks.described(name)}.")
        self.name = name or unique_name(type(self).__name__)
        self.trainable = bool(trainable)
        self._dtype = np.dtype("float32" if dtype is None else _checks.float_dtype(dtype))
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.batch_input_shape = batch_shape(input_shape, batch_input_shape, batch_size)
        self._initial_weights = weights
        self.built = False
        self.supports_masking = False
        self.input_spec: Any = None  # a list of InputSpec
        super().__init__()

    @property
    def dtype(self) -> str:
        """The name of the dtype the layer computes in."""
        return self._dtype.name

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
            return called_within(self, inputs, args, kwargs)
        arrays = self._as_arrays(inputs)
        self._ensure_built(arrays)
        outputs = self._computed(arrays, *args, **kwargs)
        self._record_activity(outputs)
        return outputs

    def _computed(self, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        """What `call` gives for checked arrays; they stay as they are, whoever wrote `call`."""
        if is_written_as_call(type(self)):
            return computed(self, arrays, args, kwargs)
        return self.call(arrays, *args, **kwargs)

    def apply(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The same as calling the layer."""
        return self(inputs, *args, **kwargs)

    def vjp(self, inputs: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], Gradients]]:
        """Compute the outputs, and the function that pulls gradients back through them.

        It follows `call`, by the package autograd; a subclass that overrides it does without.

        Parameters
        ----------
        inputs : array_like or list of array_like
            As for calling the layer.
        **kwargs
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
        outputs, pull = differentiated(self, arrays, kwargs)
        self._record_activity(outputs)

        def pullback(cotangents: Any) -> Gradients:
            (d_inputs,), d_weights = pull(cotangents)
            return Gradients(d_inputs, None, d_weights)

        return outputs, pullback

    def stream(self, batch_size: int = 1) -> Any:
        """A stream: an object that is called with one timestep after the other.

        Parameters
        ----------
        batch_size : int, default 1
            How many sequences go side by side.

        Returns
        -------
        stream
            Called with (batch_size, features), it returns what the layer gives at that timestep. It
            keeps the weights of this moment. See `cylstm.layers.streams`.

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

    def _as_arrays(self, inputs: Any) -> Any:
        """The inputs as arrays of the layer's dtype that fit `input_spec`."""
        several = self._takes_as_several(inputs)
        if several and len(inputs) == 1:
            return self._as_arrays(inputs[0])
        arrays = [
            self._cast(x, f"Input {i} of layer {self.name}")
            for i, x in enumerate(inputs if several else [inputs])
        ]
        self._check_shapes([a.shape for a in arrays])
        return arrays if several else arrays[0]

    def _takes_as_several(self, inputs: Any) -> bool:
        """Whether a list is one of inputs, and not one input as a list of numbers."""
        if not isinstance(inputs, list | tuple):
            return False
        if self.input_spec is None:
            own = is_written_as_call(type(self))
            return own and any(isinstance(x, np.ndarray | Variable) for x in inputs)
        return len(as_list(self.input_spec)) > 1

    def _cast(self, value: Any, what: str) -> np.ndarray:
        """An input as an array of the dtype the layer reads; `what` names it in errors."""
        return _checks.as_array(value, self._dtype, what)

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        if self.input_spec is None:
            return
        specs = as_list(self.input_spec)  # Keras takes one that is in no list, too
        if len(shapes) != len(specs):
            only = ": of a layer with return_state=True take the first output"
            raise ValueError(
                f"Layer {self.name} takes {len(specs)} inputs, got {len(shapes)}"
                f"{only if len(specs) == 1 else ''}."
            )
        for i, (shape, spec) in enumerate(zip(shapes, specs, strict=True)):
            spec.check(shape, f"Input {i} of layer {self.name}")

    def _ensure_built(self, inputs: Any) -> None:
        """Build for these arrays on first use; a failure leaves the layer as it was."""
        if not self.built or self._initial_weights is not None:
            shapes = [np.shape(x) for x in as_list(inputs)]
            self._ensure_built_for(shapes if isinstance(inputs, list) else shapes[0])

    def _ensure_built_for(self, input_shape: Any) -> None:
        """Build for this shape, or list of shapes, on first use, and put in given weights."""
        undo = self._undo()
        try:
            if not self.built:
                self.build(input_shape)
                self.built = True
            if self._initial_weights is not None:
                self.set_weights(self._initial_weights)
                self._initial_weights = None
        except BaseException:
            undo()
            raise

    def _undo(self) -> Callable[[], None]:
        """A function that puts the attributes back to what they are now."""
        before = {k: list(v) if type(v) is list else v for k, v in self.__dict__.items()}

        def undo() -> None:
            self.__dict__.clear()
            self.__dict__.update(before)

        return undo

    # ------------------------------------------------------------------ symbolic calls

    def _connect(self, tensors: list[SymbolicTensor], arguments: dict[str, Any]) -> Any:
        """Build, record a node, and return symbolic outputs."""
        if arguments.pop("mask", None) is not None:
            raise ValueError("A symbolic mask comes with its input: use Masking or Embedding.")
        for tensor in tensors:
            if not isinstance(tensor, SymbolicTensor):
                raise ValueError(
                    f"Layer {self.name} was called on symbolic tensors together with a "
                    f"{type(tensor).__name__}: make an Input for it."
                )
        shapes = [tensor.shape for tensor in tensors]
        shape = shapes if len(shapes) > 1 else shapes[0]
        try:
            self._check_shapes(shapes)
            self._ensure_built_for(shape)
            results = self._symbolic_shapes(tensors, shape)
        except AxesError as error:
            reason = likely_reason(self, tensors[0]) if tensors else None
            raise (error if reason is None else ValueError(reason)) from None
        several = isinstance(results, list)
        outputs = [
            SymbolicTensor(result, self.dtype, self.name)
            for result in (results if several else [results])
        ]
        masks = self._symbolic_masks(tensors, len(outputs))
        for output, mask in zip(outputs, masks, strict=True):
            output.mask = mask
        self._note_call(Node(self, tensors, outputs, arguments))
        return outputs if several else outputs[0]

    def _symbolic_shapes(self, tensors: list[SymbolicTensor], shape: Any) -> Any:
        """The shape of the output, or a list of shapes, for symbolic tensors."""
        same = type(self).compute_output_shape is Layer.compute_output_shape
        if same and isinstance(shape, list):
            raise ValueError(
                f"Layer {self.name} ({type(self).__name__}) takes {len(shape)} inputs, and does "
                "not say what shape comes of them: define compute_output_shape(input_shape)."
            )
        return as_shapes(self.compute_output_shape(shape))

    def _declared_shapes(self, input_shape: Any) -> Any:
        """The shape, or list of shapes, that the outputs are to have; None where none is said."""
        return as_shapes(self.compute_output_shape(input_shape))

    def _note_call(self, node: Node) -> None:
        """Enter the losses and updates that come with a symbolic call."""
        if self.activity_regularizer is not None:
            losses = [SymbolicTensor((), self.dtype, f"{self.name}/activity_loss")]
            self.add_loss(losses * len(node.output_tensors), inputs=node.input_tensors)

    def _symbolic_masks(
        self, tensors: list[SymbolicTensor], outputs: int
    ) -> list[SymbolicTensor | None]:
        """What stands for the masks of the outputs: found by asking with small arrays."""
        own = type(self).compute_mask is not Layer.compute_mask
        if not own and all(tensor.mask is None for tensor in tensors):
            return [None] * outputs
        samples = [_sample(tensor, tensor.dtype) for tensor in tensors]
        masks = [t.mask and _sample(t.mask, "bool") for t in tensors]
        several = len(tensors) > 1
        results = self.compute_mask(
            samples if several else samples[0], masks if several else masks[0]
        )
        results = results if isinstance(results, list) else [results] * outputs
        found: list[SymbolicTensor | None] = []
        for result in results:
            passed = [t.mask for t, m in zip(tensors, masks, strict=True) if m is result]
            if result is None:
                found.append(None)
            elif passed:
                found.append(passed[0])
            else:
                found.append(SymbolicTensor([None] * np.ndim(result), "bool", f"{self.name}/mask"))
        return found

    def _record_activity(self, outputs: Any) -> None:
        if self.activity_regularizer is not None:
            self._activity_losses = [
                regularizers.penalty(self.activity_regularizer, y) for y in as_list(outputs)
            ]

    # ------------------------------------------------------------------ config

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again, as plain JSON values."""
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.batch_input_shape is not None:
            config["batch_input_shape"] = self.batch_input_shape
        for name in _own_arguments(type(self)):
            if hasattr(self, name):
                config[name] = _config_value(getattr(self, name))
            elif type(self).get_config is Layer.get_config:
                raise TypeError(
                    f"{type(self).__name__}.__init__ takes {name!r} but does not store it as "
                    f"self.{name}: store it, or override get_config."
                )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new layer with the configuration that `get_config` returned."""
        return cls(**config)

    def _twin(self) -> Layer:
        """A layer of the same configuration, with new weights and unconnected."""
        return type(self).from_config(self.get_config())

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which are not connected to what the layer is connected to."""
        state = vars(self) | {"inbound_nodes": [], "outbound_nodes": []}
        for name in ("_losses", "_updates"):
            state[name] = [entry for entry in state[name] if not is_symbolic(entry[1])]
        return state

    def __repr__(self) -> str:
        return described_layer(self, _own_arguments(type(self)))


def _sample(tensor: SymbolicTensor, dtype: str) -> np.ndarray:
    """A small array of the shape of a symbolic tensor, 1 standing for what is unknown."""
    shape = [1 if n is None else n for n in tensor.shape]
    _blank.claim(shape)
    return np.zeros(shape, dtype)


def _own_arguments(cls: type) -> list[str]:
    """The named arguments of ``__init__``, from `Layer`'s subclasses down to `cls`."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Layer) and base is not Layer and "__init__" in vars(base):
            for parameter in list(inspect.signature(base.__init__).parameters.values())[1:]:
                if parameter.kind in (
                    parameter.POSITIONAL_OR_KEYWORD,
                    parameter.KEYWORD_ONLY,
                ):
                    names[parameter.name] = None
    common = inspect.signature(Layer.__init__).parameters.keys() - {"activity_regularizer"}
    return [name for name in names if name not in common]


def _config_value(value: Any) -> Any:
    if callable(value) or hasattr(value, "get_config"):
        return _registry.serialize_object(value)
    return _registry.plain(value)
