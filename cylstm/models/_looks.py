"""How models look when they are printed, shown in a notebook, or drawn."""

from __future__ import annotations

import os
from typing import Any

from cylstm._methods import member
from cylstm.utils._drawing import pyplot_or_why
from cylstm.utils.views import drawing_of

__all__ = ["as_html", "as_text", "plot"]


def as_text(model: Any) -> str:
    """How many layers and parameters, and from which shapes to which."""
    words = [_counted(len(model.layers), "layer"), f"name={model.name!r}"]
    if model.built:
        words += [f"{model.input_shape} -> {model.output_shape}"]
        words += [_counted(model.count_params(), "parameter")]
    else:
        words += ["not built"]
    return f"{type(model).__name__}({', '.join(words)})"


def as_html(model: Any) -> str:
    """A table of the layers, their output shapes and numbers of parameters."""
    from html import escape

    heads = "".join(f"<th>{head}</th>" for head in ("Layer", "Type", "Output shape", "Parameters"))
    rows = []
    for layer in model.layers:
        shape, parameters = "", ""
        if model.built:
            shape, parameters = str(layer.get_output_shape_at(0)), f"{layer.count_params():,}"
        cells = (layer.name, type(layer).__name__, shape, parameters)
        rows.append("".join(f"<td>{escape(cell, quote=False)}</td>" for cell in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    caption = f"<caption>{escape(as_text(model), quote=False)}</caption>"
    return f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@member
def plot(
    self: Any,
    path: str | os.PathLike[str] | None = None,
    show_shapes: bool = True,
    show_layer_names: bool = True,
    rankdir: str = "TB",
) -> Any:
    """Draw the layers with matplotlib: what reads from what, shapes and numbers of parameters.

    Parameters
    ----------
    path : str or path, optional
        A file for the picture; its suffix gives the format.
    show_shapes, show_layer_names : bool, default True
        Whether boxes have the shapes and parameters, and the names of the layers.
    rankdir : {"TB", "LR", "BT", "RL"}
        From top to bottom, from left to right, or the other way round.

    Returns
    -------
    matplotlib.axes.Axes
        Notebooks show it; elsewhere `matplotlib.pyplot.show` does. Its ``figure`` has the rest.

    Raises
    ------
    ValueError
        If the model is not built, or `rankdir` is another.
    ImportError
        If matplotlib is not installed.
    """
    drawing = drawing_of(self, show_shapes, show_layer_names, rankdir)
    figure = pyplot_or_why("Model.plot()").figure(figsize=drawing.inches)
    axes = figure.add_axes((0, 0, 1, 1))
    drawing.draw(axes)
    if path is not None:
        figure.savefig(path, dpi=150)
    return axes
