"""How models look when they are printed, or shown in a notebook."""

from __future__ import annotations

from typing import Any

__all__ = ["as_html", "as_text"]


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
