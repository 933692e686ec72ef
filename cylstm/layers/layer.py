"""Layer: what every layer has in common - building, calling, weights, losses, config."""

from __future__ import annotations

import inspect
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cylstm import _checks, _registry, constraints, initializers, regularizers
from cylstm.graph import Connectable
from cylstm.layers.input_spec import InputSpec
from cylstm.variables import Variable

__all__ = ["Gradients", "Layer"]

_counters: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))


def unique_name(class_name: str) -> str:
    """The next free default name of a class: ``lstm_1``, ``lstm_2``, ``time_distributed_1``."""
    snake = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)
    snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower().lstrip("_")
    return f"{snake}_{next(_counters[snake])}"


def as_list(value: Any) -> list:
    """A list or tuple as a list, anything else as a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value]


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


class Layer(Connectable):
    """The base of all layers, as `tf.keras.layers.Layer` of TensorFlow 1.4.

    A subclass defines `build` (create the weights with `add_weight`), `call` (the computation on
    arrays) and `compute_output_shape`; to be trained, also `vjp`. Its configuration is read from
    the signature of its ``__init__``: store each argument under its own name.

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
    ...         return inputs * self.factor.value
    >>> Scale()(np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

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
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no argument {', '.join(map(repr, unknown))}."
            )
        self.name = name or unique_name(type(self).__name__)
        self.trainable = bool(trainable)
        self._dtype = np.dtype("float32" if dtype is None else _checks.float_dtype(dtype))
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.batch_input_shape = _batch_shape(input_shape, batch_input_shape, batch_size)
        self._initial_weights = weights
        self.built = False
        self.supports_masking = False
        self.input_spec: list[InputSpec] | None = None
        self._variables: list[Variable] = []
        self._losses: list[tuple[Any, list | None]] = []
        self._updates: list[tuple[Any, list | None]] = []
        self._activity_losses: list[float] = []
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

    def call(self, inputs: Any, **kwargs: Any) -> Any:
        """Compute the outputs from arrays of the layer's dtype. A subclass overrides it."""
        return inputs

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Check the inputs, build on first use, and `call`.

        Parameters
        ----------
        inputs : array_like or list of array_like
            Cast to the dtype of the layer; never changed.
        *args, **kwargs
            Passed on to `call`, such as `mask` and `training`.

        Raises
        ------
        ValueError, TypeError
            If an input does not fit; the layer is then unchanged.
        """
        arrays = self._as_arrays(inputs)
        self._ensure_built(arrays)
        outputs = self.call(arrays, *args, **kwargs)
        self._record_activity(outputs)
        return outputs

    def apply(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The same as calling the layer."""
        return self(inputs, *args, **kwargs)

    def vjp(self, inputs: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], Gradients]]:
        """Compute the outputs, and the function that pulls gradients back through them.

        A subclass that is to be trained overrides it.

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
            If the layer does not define how to compute gradients.
        """
        raise TypeError(
            f"{type(self).__name__} can predict but not train: it does not define `vjp(inputs)`, "
            "which returns the outputs and a function from their gradients to Gradients(inputs, "
            "initial_state, weights)."
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

    def _as_arrays(self, inputs: Any) -> Any:
        """The inputs as arrays of the layer's dtype that fit `input_spec`."""
        several = isinstance(inputs, list | tuple) and self.input_spec and len(self.input_spec) > 1
        arrays = [
            _checks.as_array(x, self._dtype, f"Input {i} of layer {self.name}")
            for i, x in enumerate(inputs if several else [inputs])
        ]
        self._check_shapes([a.shape for a in arrays])
        return arrays if several else arrays[0]

    def _check_shapes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        if self.input_spec is None:
            return
        if len(shapes) != len(self.input_spec):
            raise ValueError(
                f"Layer {self.name} takes {len(self.input_spec)} inputs, got {len(shapes)}."
            )
        for i, (shape, spec) in enumerate(zip(shapes, self.input_spec, strict=True)):
            spec.check(shape, f"Input {i} of layer {self.name}")

    def _ensure_built(self, inputs: Any) -> None:
        """Build for these arrays on first use; a failure leaves the layer as it was."""
        if self.built and self._initial_weights is None:
            return
        before = {k: list(v) if type(v) is list else v for k, v in self.__dict__.items()}
        try:
            if not self.built:
                shapes = [np.shape(x) for x in as_list(inputs)]
                self.build(shapes if isinstance(inputs, list) else shapes[0])
                self.built = True
            if self._initial_weights is not None:
                self.set_weights(self._initial_weights)
                self._initial_weights = None
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _record_activity(self, outputs: Any) -> None:
        if self.activity_regularizer is not None:
            self._activity_losses = [float(self.activity_regularizer(y)) for y in as_list(outputs)]

    # ------------------------------------------------------------------ weights

    def add_weight(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool = True,
        constraint: Any = None,
    ) -> Variable:
        """Create a weight.

        Parameters
        ----------
        name : str
            Its name within the layer.
        shape : tuple of int
            Its shape.
        dtype : str, optional
            Default: the dtype of the layer.
        initializer : callable, str or dict, default "glorot_uniform"
            Called with the shape and the dtype.
        regularizer, constraint : callable, str or dict, optional
            See `cylstm.regularizers`, `cylstm.constraints`.
        trainable : bool, default True
            Whether it is to be trained (while the layer is).

        Returns
        -------
        Variable
        """
        dtype = self.dtype if dtype is None else dtype
        initializer = initializers.get(initializer or "glorot_uniform")
        shape = tuple(shape)
        value = np.asarray(initializer(shape, dtype=dtype))
        if value.shape != shape:
            raise ValueError(
                f"The initializer of {name} returned the shape {value.shape}, not {shape}."
            )
        variable = Variable(
            value,
            name=f"{self.name}/{name}",
            trainable=bool(trainable),
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            dtype=dtype,
        )
        self._variables.append(variable)
        return variable

    def add_variable(self, name: str, shape: Sequence[int], **kwargs: Any) -> Variable:
        """The same as `add_weight`: TensorFlow's name for it."""
        return self.add_weight(name, shape, **kwargs)

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training updates: none while the layer is frozen."""
        return [v for v in self._variables if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone; those of a frozen layer all are."""
        fixed = [v for v in self._variables if not v.trainable]
        return fixed if self.trainable else [v for v in self._variables if v.trainable] + fixed

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

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of `weights`."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Replace all weights.

        Parameters
        ----------
        weights : list of array_like
            One for each of `weights`, of the same shape.

        Raises
        ------
        ValueError
            If the number or a shape differs; all weights are then as before.
        TypeError
            If a value does not consist of real numbers; likewise.
        """
        variables = self.weights
        if len(weights) != len(variables):
            raise ValueError(
                f"Layer {self.name} has {len(variables)} weights, but was given {len(weights)}."
            )
        values = [v.checked(w) for v, w in zip(variables, weights, strict=True)]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """How many numbers the weights hold.

        Raises
        ------
        ValueError
            If the layer is not built, and so has no weights yet.
        """
        if not self.built:
            raise ValueError(
                f"Layer {self.name} is not built: call it, or `build` it with an input shape."
            )
        return sum(v.value.size for v in self.weights)

    # ------------------------------------------------------------------ losses and updates

    @property
    def losses(self) -> list[Any]:
        """The losses beside that of the task: of the weights, added ones, of the last outputs."""
        return (
            self.get_losses_for(None)
            + [loss for loss, inputs in self._losses if inputs is not None]
            + self._activity_losses
        )

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        """Add one or several losses (numbers), of these inputs or of the layer itself."""
        self._losses += [(loss, _condition(inputs)) for loss in as_list(losses)]

    def get_losses_for(self, inputs: Any) -> list[Any]:
        """The losses that depend on these inputs; on none (the weights'), for None."""
        added = _matching(self._losses, inputs)
        return added if _condition(inputs) else self._weight_losses() + added

    def _weight_losses(self) -> list[float]:
        return [float(v.regularizer(v.value)) for v in self._variables if v.regularizer]

    @property
    def updates(self) -> list[Any]:
        """What `add_update` was given."""
        return [update for update, _ in self._updates]

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        """Note one or several updates, of these inputs or of the layer itself."""
        self._updates += [(update, _condition(inputs)) for update in as_list(updates)]

    def get_updates_for(self, inputs: Any) -> list[Any]:
        """The updates that depend on these inputs; on none, for None."""
        return _matching(self._updates, inputs)

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{'' if self.built else ', not built'}>"


def _own_arguments(cls: type) -> list[str]:
    """The named arguments of ``__init__``, from `Layer`'s subclasses down to `cls`."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Layer) and base is not Layer and "__init__" in vars(base):
            for parameter in list(inspect.signature(base.__init__).parameters.values())[1:]:
                if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                    names[parameter.name] = None
    common = inspect.signature(Layer.__init__).parameters.keys() - {"activity_regularizer"}
    return [name for name in names if name not in common]


def _config_value(value: Any) -> Any:
    if callable(value) or hasattr(value, "get_config"):
        return _registry.serialize_object(value)
    return _registry.plain(value)


def _batch_shape(
    input_shape: Any, batch_input_shape: Any, batch_size: int | None
) -> tuple[int | None, ...] | None:
    if batch_input_shape is not None:
        return tuple(batch_input_shape)
    if input_shape is not None:
        return (batch_size, *input_shape)
    return None


def _condition(inputs: Any) -> list | None:
    """The inputs that a loss or an update depends on; None where on none."""
    return None if inputs is None else (as_list(inputs) or None)


def _matching(entries: list[tuple[Any, list | None]], inputs: Any) -> list[Any]:
    wanted = _condition(inputs)
    if wanted is None:
        return [value for value, condition in entries if condition is None]
    return [
        value
        for value, condition in entries
        if condition is not None
        and len(condition) == len(wanted)
        and all(a is b for a, b in zip(condition, wanted, strict=True))
    ]
