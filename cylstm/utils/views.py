"""Models for people to look at: as a table, and as a drawing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from cylstm import _checks, _spellings
from cylstm.utils._drawing import Box, Drawing, pyplot_or_why

__all__ = ["model_to_dot", "plot_model", "print_summary"]

_TEXT_SUFFIXES = (".dot", ".gv")


@_spellings.summary
def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
) -> None:
    """Print the layers of a model, their output shapes and numbers of parameters.

    A model that is no chain of layers has a column of the layers that each reads from. Columns grow
    where something does not fit: nothing is cut off.

    Parameters
    ----------
    model : Model
        The model.
    line_length : int, optional
        How wide the table is at least: 65, or 98 with the column of connections, by default.
    positions : sequence of float, optional
        Where the columns end, if they need not grow: as shares of `line_length`, or in characters.
    print_fn : callable, default print
        Called with each line.

    Raises
    ------
    ValueError
        If there is not one rising position for each column, or the model is not built.
    TypeError
        If `line_length` is not an integer.

    Examples
    --------
    >>> import cylstm
    >>> from cylstm.utils import print_summary
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3), name="reader")])
    >>> print_summary(model, 40)
    Layer (type)      Output shape    Parameters
    ============================================
    reader (LSTM)     (None, 4)       128
    ============================================
    Parameters: 128, of which trainable: 128
    """
    put = print_fn or print
    _check_built(model)
    sources = sources_of(model)
    pairs = zip(model.layers, model.layers[1:], strict=False)
    chain = all(sources[id(layer)] == [before] for before, layer in pairs)
    titles = ["Layer (type)", "Output shape", "Parameters"] + ([] if chain else ["Connected to"])
    length = _checks.positive_int(line_length or (65 if chain else 98), "line_length")
    ends = _column_ends(positions or ((0.45, 0.85, 1) if chain else (0.33, 0.55, 0.67, 1)), length)
    if len(ends) != len(titles):
        raise ValueError(f"positions must be {len(titles)} numbers, got {list(positions or ())}.")
    rows = [
        row[: len(titles)]
        for layer in model.layers
        for row in _rows_of(layer, [] if chain else [s.name for s in sources[id(layer)]])
    ]
    widths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    for column, cells in enumerate(zip(titles, *rows, strict=True)):
        last = column == len(titles) - 1
        widths[column] = max(widths[column], max(map(len, cells)) + (not last))
    rule = "=" * sum(widths)

    def line(cells: Sequence[str]) -> str:
        return "".join(c.ljust(width) for c, width in zip(cells, widths, strict=True)).rstrip()

    put(line(titles))
    put(rule)
    for row in rows:
        put(line(row))
    put(rule)
    trainable = sum(v.value.size for v in model.trainable_weights)
    put(f"Parameters: {model.count_params():,}, of which trainable: {trainable:,}")


def _column_ends(positions: Sequence[float], length: int) -> list[int]:
    ends = [int(length * p) if positions[-1] <= 1 else int(p) for p in positions]
    if any(end <= start for start, end in zip([0, *ends], ends, strict=False)):
        raise ValueError(f"positions must rise from column to column, got {list(positions)}.")
    return ends


def _rows_of(layer: Any, sources: list[str]) -> list[list[str]]:
    """The cells of a layer: a row for each of its outputs, or of the layers that it reads from."""
    shapes = layer.get_output_shape_at(0)
    shapes = [str(shape) for shape in (shapes if isinstance(shapes, list) else [shapes])]
    title = f"{layer.name} ({type(layer).__name__})"
    rows = [[title, shapes[0], str(layer.count_params()), sources[0] if sources else ""]]
    for i in range(1, max(len(shapes), len(sources))):
        rows.append(["", *((shapes[i : i + 1]) or [""]), "", *((sources[i : i + 1]) or [""])])
    return rows


def sources_of(model: Any) -> dict[int, list[Any]]:
    """By the identity of each layer, those that it reads from, once for each tensor."""
    found: dict[int, list[Any]] = {id(layer): [] for layer in model._every_layer()}
    for node in model._nodes:
        found[id(node.layer)] += [t.layer for t in node.input_tensors if t.node is not node]
    return found


def _check_built(model: Any) -> None:
    if not model.built:
        raise ValueError(
            f"Model {model.name} is not built, so its shapes are not known: give its first layer "
            "an input_shape, or call build(input_shape)."
        )


@_spellings.drawing
def model_to_dot(
    model: Any, show_shapes: bool = False, show_layer_names: bool = True, rankdir: str = "TB"
) -> str:
    """Return the graph of a model in graphviz's language.

    Keras returns an object of pydot here, which can be made of the text by
    ``pydot.graph_from_dot_data(text)``.

    Parameters
    ----------
    model : Model
        A model that is built.
    show_shapes : bool, default False
        Whether the shapes of inputs and outputs are shown.
    show_layer_names : bool, default True
        Whether the layers' names are shown beside their classes.
    rankdir : {"TB", "LR", "BT", "RL"}
        From top to bottom, from left to right, or the other way round.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the model is not built, or `rankdir` is another.

    Examples
    --------
    >>> import cylstm
    >>> from cylstm.utils import model_to_dot
    >>> x = cylstm.Input((5, 3), name="x")
    >>> print(model_to_dot(cylstm.Model(x, cylstm.LSTM(4, name="reader")(x))))
    digraph model {
        rankdir=TB;
        node [shape=record];
        0 [label="x: InputLayer"];
        1 [label="reader: LSTM"];
        0 -> 1;
    }
    """
    _check_drawable(model, rankdir)
    layers = model._every_layer()  # also the input of a Sequential
    sources = sources_of(model)
    number = {id(layer): i for i, layer in enumerate(layers)}
    lines = [f"rankdir={rankdir};", "node [shape=record];"]
    lines += [
        f'{i} [label="{_label(layer, show_shapes, show_layer_names)}"];'
        for i, layer in enumerate(layers)
    ]
    lines += [
        f"{number[id(source)]} -> {i};"
        for i, layer in enumerate(layers)
        for source in dict.fromkeys(sources[id(layer)])
    ]
    return "\n".join(["digraph model {", *(f"    {line}" for line in lines), "}"])


def _check_drawable(model: Any, rankdir: str) -> None:
    if rankdir not in ("TB", "LR", "BT", "RL"):
        raise ValueError(f"rankdir must be 'TB', 'LR', 'BT' or 'RL', got {rankdir!r}.")
    _check_built(model)


def _called(layer: Any) -> tuple[str, str]:
    """The name and the class of a layer, of a wrapper also those of what it wraps."""
    name, kind = layer.name, type(layer).__name__
    inner = getattr(layer, "layer", None)
    return (
        (name, kind)
        if inner is None
        else (f"{name}({inner.name})", f"{kind}({type(inner).__name__})")
    )


def _label(layer: Any, show_shapes: bool, show_layer_names: bool) -> str:
    name, kind = _called(layer)
    label = _escaped(f"{name}: {kind}" if show_layer_names else kind)
    if not show_shapes:
        return label
    shapes = [_escaped(_shape_text(layer, end)) for end in ("input", "output")]
    return f"{label}|{{input:|output:}}|{{{{{shapes[0]}}}|{{{shapes[1]}}}}}"


def _shape_text(layer: Any, end: str) -> str:
    shapes = {str(getattr(node, f"{end}_tensors")) for node in layer.inbound_nodes}
    return str(getattr(layer, f"get_{end}_shape_at")(0)) if len(shapes) == 1 else "multiple"


def _escaped(text: str) -> str:
    """Text within a label of a record, in which some signs have a meaning."""
    signs = {ord(sign): f"\\{sign}" for sign in '\\"{}|<>'}
    return text.translate(signs | {ord("\n"): "\\n", ord("\r"): "\\r"})


@_spellings.drawing
def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
) -> None:
    """Draw the graph of a model to a file; `Model.plot` shows it.

    Parameters
    ----------
    model : Model
        A model that is built.
    to_file : str or path, default "model.png"
        What to write. ``.dot`` or ``.gv`` is graphviz's language; any other suffix is a kind of
        picture that matplotlib can draw (png, svg, pdf, ...): none is png.
    show_shapes, show_layer_names, rankdir
        As for `model_to_dot`.

    Raises
    ------
    ValueError
        If the model is not built, or an argument or the kind of picture is unknown.
    ImportError
        If a picture is asked for and matplotlib is not installed; nothing is written.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cylstm
    >>> from cylstm.utils import plot_model
    >>> model = cylstm.Sequential([cylstm.LSTM(4, input_shape=(None, 3))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.dot"
    ...     plot_model(model, path)
    ...     path.read_text().splitlines()[0]
    'digraph model {'
    """
    from pathlib import Path

    path = Path(to_file)
    if path.suffix.lower() in _TEXT_SUFFIXES:
        text = model_to_dot(model, show_shapes, show_layer_names, rankdir) + "\n"
        path.write_text(text, encoding="utf-8")
        return
    drawing = drawing_of(model, show_shapes, show_layer_names, rankdir)
    from matplotlib.figure import Figure

    figure = Figure(figsize=drawing.inches)  # none of pyplot's: nothing is shown or left open
    drawing.draw(figure.add_axes((0, 0, 1, 1)))
    figure.savefig(path, format=path.suffix[1:].lower() or "png", dpi=150)


def drawing_of(model: Any, show_shapes: bool, show_layer_names: bool, rankdir: str) -> Drawing:
    """The layers as boxes at their places; errors as of `plot_model`."""
    _check_drawable(model, rankdir)
    pyplot_or_why("a picture of a model")
    layers = model._every_layer()
    sources = sources_of(model)
    number = {id(layer): i for i, layer in enumerate(layers)}
    boxes = []
    for layer in layers:
        name, kind = _called(layer)
        lines = [name, kind] if show_layer_names else [kind]
        if show_shapes:
            shapes = [_shape_text(layer, end) for end in ("input", "output")]
            several = shapes[0] != shapes[1] and number[id(layer)] and sources[id(layer)]
            lines.append(" \N{RIGHTWARDS ARROW} ".join(shapes if several else shapes[1:]))
            count = layer.count_params()
            lines += [f"{count:,} parameter{'s' * (count != 1)}"] if count else []
        boxes.append(Box(lines, kind))
    edges = [(number[id(s)], i) for i, layer in enumerate(layers) for s in sources[id(layer)]]
    return Drawing(boxes, edges, rankdir)
