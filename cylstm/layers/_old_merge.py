"""`merge` of Keras 1, which Keras 2 still takes with a warning.

In Keras 2 the name ``keras.layers.merge`` is a function and a module at once: the function is the
attribute, the module is what import lines find. Here it is a module that can be called.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from cylstm import _warning

__all__ = ["MergeModule"]

_MODES = {
    "sum": "add",
    "mul": "multiply",
    "ave": "average",
    "max": "maximum",
    "concat": "concatenate",
    "dot": "dot",
}


class MergeModule(ModuleType):
    """The module of the merging layers, which can be called as the function of Keras 1."""

    def __call__(
        self,
        inputs: Any,
        mode: str = "sum",
        concat_axis: int = -1,
        dot_axes: Any = -1,
        output_shape: Any = None,
        output_mask: Any = None,
        arguments: Any = None,
        name: str | None = None,
    ) -> Any:
        """Merge tensors or arrays, and warn of the function that does so in Keras 2.

        Parameters
        ----------
        inputs : list of SymbolicTensor or list of ndarray
            What to merge.
        mode : {"sum", "mul", "ave", "max", "concat", "dot"}
            What to do with them.
        concat_axis : int, default -1
            The axis of "concat".
        dot_axes : int or pair of int, default -1
            The axes of "dot".
        output_shape, output_mask, arguments : None
            Of functions as a mode, which are not offered.
        name : str, optional
            The name of the layer.

        Raises
        ------
        ValueError
            If the mode is another, or the inputs do not fit.
        """
        if mode not in _MODES:
            shown = repr(mode) if isinstance(mode, str) else "a function"
            raise ValueError(
                f"merge: mode={shown} is not offered: it is one of {', '.join(map(repr, _MODES))}; "
                "'cos' is dot(..., normalize=True) without the axis that it adds, and a function "
                "is a subclass of Layer."
            )
        for argument, value in {
            "output_shape": output_shape,
            "output_mask": output_mask,
            "arguments": arguments,
        }.items():
            if value is not None:
                raise ValueError(
                    f"merge: {argument} is not offered: it goes with a function as the mode."
                )
        function = getattr(self, _MODES[mode])
        options: dict[str, Any] = {}
        if mode == "concat":
            options["axis"] = concat_axis
        elif mode == "dot":
            options["axes"] = dot_axes
        if name is not None:
            options["name"] = name
        written = "".join(f", {key}={value!r}" for key, value in options.items())
        _warning.warn(
            "merge is a function of Keras 1. In Keras 2 it is "
            f"cylstm.layers.{function.__name__}(inputs{written}).",
            UserWarning,
        )
        return function(inputs, **options)
