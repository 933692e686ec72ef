"""Lambda: a function of the user's own as a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Self, Unpack

import numpy as np

from cylstm import _blank, _checks, _random, _registry, _trace
from cylstm.layers._options import LayerOptions
from cylstm.layers._own_code import as_list_of_shapes, as_shapes
from cylstm.layers.layer import Layer

__all__ = ["Lambda"]

# What stands for an unknown size when the function is tried: of the batch, and of another axis.
_TRIALS = ((2, 32), (3, 33))


class Lambda(Layer):
    """A function of arrays as a layer without weights.

    The function is written with `cylstm.backend`, operators, or NumPy. It predicts as it is, and
    trains where the package autograd is installed.

    Parameters
    ----------
    function : callable
        ``function(inputs, **arguments)``; inputs are an array, or a list of arrays. It returns an
        array, or a list of arrays. One with an argument `mask` is given the mask.
    output_shape : tuple or callable, optional
        The shape of the output without the batch axis, or a function from the shape of the input
        (a list of shapes, for several) to that of the output, both with the batch axis. By
        default the function is tried on zeros.
    mask : array_like or callable, optional
        The mask of the outputs, or ``mask(inputs, mask)`` that returns it. By default there is
        none: a mask of the inputs ends here.
    arguments : dict, optional
        Further arguments of the function, by name.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    TypeError
        If an argument is not of the kinds above.
    ValueError
        In a symbolic call: if the function cannot be tried on zeros.

    Notes
    -----
    Inputs of floats are cast to the dtype of the layer; integers and bools stay what they are, and
    have no gradient. A variable of the user's that the function reads is a constant: weights need
    a layer of their own (`Layer`). A model with a `Lambda` goes into a file if its functions are
    defined with ``def``, and comes back with them as `custom_objects`; code is never stored.
    Behaviour otherwise: `keras.layers.Lambda` of Keras 2.0.9.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import backend as K
    >>> from cylstm.layers import Lambda
    >>> layer = Lambda(lambda x: K.sum(x, axis=1))
    >>> layer(np.array([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[4.0, 6.0]]
    >>> layer.compute_output_shape((None, 5, 2))
    (None, 2)
    """

    def __init__(
        self,
        function: Any,
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda takes a function, got {_checks.described(function)}.")
        if not (output_shape is None or callable(output_shape)):
            if not isinstance(output_shape, Sequence) or isinstance(output_shape, str):
                raise TypeError(
                    "output_shape is a tuple of sizes without the batch axis, or a function from "
                    f"the input's shape, got {_checks.described(output_shape)}."
                )
            output_shape = tuple(_size(n) for n in output_shape)
        if not isinstance(arguments, Mapping | None):
            raise TypeError(f"arguments is a dict, got {_checks.described(arguments)}.")
        self.function = function
        self._output_shape = output_shape
        self.mask = mask
        self.arguments: dict[str, Any] = dict(arguments or {})
        self.supports_masking = True
        self._takes_mask = "mask" in _parameters(function)
        self._dtypes: list[str] | None = None  # of symbolic inputs, which it is tried on

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """What the function gives."""
        more = {"mask": mask} if self._takes_mask else {}
        return self.function(inputs, **self.arguments, **more)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """By `output_shape`, or else by trying the function on zeros."""
        if self._output_shape is None:
            return self._tried(input_shape)
        if callable(self._output_shape):
            return as_shapes(self._output_shape(input_shape))
        first = input_shape[0] if isinstance(input_shape, list) else input_shape
        return (first[0], *self._output_shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """By `mask`: an array, or what the function of that name returns."""
        if not callable(self.mask):
            return None if self.mask is None else _checks.as_bools(self.mask)
        result = self.mask(inputs, mask)
        return None if result is None else _checks.as_bools(result)

    def _tried(self, input_shape: Any) -> Any:
        """The shape of what the function gives for zeros; None where it follows the input's."""
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        unknown = any(n is None for shape in shapes for n in shape)
        found = [self._try(input_shape, *sizes) for sizes in (_TRIALS if unknown else _TRIALS[:1])]
        first, last = as_list_of_shapes(found[0]), as_list_of_shapes(found[-1])
        if [len(s) for s in first] != [len(s) for s in last]:
            raise ValueError(
                f"Layer {self.name} returns {first} for some inputs and {last} for others: give "
                "its output_shape."
            )
        merged = [
            tuple(a if a == b else None for a, b in zip(s, t, strict=True))
            for s, t in zip(first, last, strict=True)
        ]
        return merged if isinstance(found[0], list) else merged[0]

    def _try(self, input_shape: Any, batch: int, other: int) -> Any:
        """The shape, or list of shapes, of what the function gives for zeros."""
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        dtypes = self._dtypes or [self.dtype] * len(shapes)
        zeros = []
        for shape, dtype in zip(shapes, dtypes, strict=True):
            sizes = [(batch if i == 0 else other) if n is None else n for i, n in enumerate(shape)]
            _blank.claim(sizes)
            zeros.append(np.zeros(sizes, dtype))
        given = zeros if isinstance(input_shape, list) else zeros[0]
        name = f"layer {self.name}"
        try:
            with _random.seeded(0):
                outputs = _trace.evaluate(self.call, [given], name)
        except Exception as error:
            raise ValueError(
                f"The function of {name} cannot be tried on zeros of the shapes "
                f"{[z.shape for z in zeros]} ({type(error).__name__}: {error}): mend it, or give "
                "the layer its output_shape."
            ) from error
        return [y.shape for y in outputs] if isinstance(outputs, list) else outputs.shape

    def _declared_shapes(self, input_shape: Any) -> Any:
        return None if self._output_shape is None else super()._declared_shapes(input_shape)

    def _twin(self) -> Lambda:
        config = Layer.get_config(self) | {"arguments": self.arguments, "mask": self.mask}
        return type(self)(
            **config | {"function": self.function, "output_shape": self._output_shape}
        )

    def _connect(self, tensors: list[Any], arguments: dict[str, Any]) -> Any:
        self._dtypes = [getattr(tensor, "dtype", self.dtype) for tensor in tensors]
        return super()._connect(tensors, arguments)

    def _cast(self, value: Any, what: str) -> np.ndarray:
        array = _checks.real_array(value, what)
        return array if array.dtype.kind in "iub" else super()._cast(array, what)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again; functions by their names."""
        config = super().get_config()
        for name, value in (
            ("function", self.function),
            ("output_shape", self._output_shape),
            ("mask", self.mask),
        ):
            config[name] = (
                _registry.serialize_object(value) if callable(value) else _registry.plain(value)
            )
        config["arguments"] = {name: _written(value) for name, value in self.arguments.items()}
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """A new layer with the configuration that `get_config` returned, here or in Keras 2.

        Parameters
        ----------
        config : dict
            Not changed.
        custom_objects : dict, optional
            Name to function.

        Raises
        ------
        ValueError
            If it holds the code of a lambda, as files of Keras do, or the name of a function that
            is not among the `custom_objects`.
        """
        config = dict(config)
        kinds = [config.pop(f"{name}_type", None) for name in ("function", "output_shape")]
        if "lambda" in kinds:
            raise ValueError(
                "The configuration of a Lambda holds the code of a Python lambda. Nothing from a "
                "file is run: make the model again, with Lambda(function), and load its weights."
            )
        for name in ("function", "output_shape", "mask"):
            if config.get(name) == "<lambda>":
                raise ValueError(
                    "A Python lambda has no name to be found by: write a function with def, and "
                    "give it as custom_objects; or copy the model by cylstm.models.clone_model."
                )
            if isinstance(config.get(name), str | Mapping):
                config[name] = _registry.deserialize_object(
                    config[name], {}, custom_objects, f"{name} of a Lambda"
                )
        given = config.get("arguments") or {}
        config["arguments"] = {name: _read(value) for name, value in given.items()}
        return cls(**config)


def _parameters(function: Any) -> frozenset[str]:
    """The names of the arguments; none for a function that does not tell them."""
    try:
        return frozenset(signature(function).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _size(size: Any) -> int | None:
    return None if size is None else _checks.positive_int(size, "a size in output_shape")


def _written(value: Any) -> Any:
    """An argument as JSON can hold it; arrays as Keras writes them."""
    if isinstance(value, np.ndarray):
        return {"type": "ndarray", "value": value.tolist()}
    return _registry.plain(value)


def _read(value: Any) -> Any:
    is_array = isinstance(value, Mapping) and value.get("type") == "ndarray" and "value" in value
    return np.array(value["value"]) if is_array else value
