"""Drawings of models: a box for each layer, in levels, and lines between them; by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Box", "Drawing", "pyplot_or_why"]

_GAP = 26.0  # points between neighbours
_RISE = 30.0  # between levels
_PAD = 9.0  # around the text of a box
_LINE = 14.0  # the height of a line of text
_SWEEPS = 8  # over the levels, until everything is below what it reads from
_COLOURS = {  # of the border and the face, by what the name of the class has in it
    "Input": ("#7a7a7a", "#f3f3f3"),
    "LSTM": ("#1f6f8b", "#e3f1f5"),
    "RNN": ("#1f6f8b", "#e3f1f5"),
    "Dense": ("#9c5a12", "#fbeedd"),
    "Conv": ("#9c5a12", "#fbeedd"),
    "Embedding": ("#3d7a3a", "#e7f3e5"),
}
_OTHERS = ("#66558f", "#efecf6")


def pyplot_or_why(what: str) -> Any:
    """matplotlib's pyplot; an ImportError that says what needs it, and how to get it."""
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{what} draws with matplotlib, which is not installed: pip install 'cylstm[plot]'"
        ) from error
    return pyplot


@dataclass(eq=False)
class Box:
    """A layer, or, without lines of text, where a line passes a level.

    Parameters
    ----------
    lines : sequence of str
        The text; the first line is bold.
    kind : str
        The class of the layer, which says the colour.
    """

    lines: Sequence[str] = ()
    kind: str = ""
    level: int = 0
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)
    size: tuple[float, float] = (0.0, 0.0)
    x: float = 0.0
    y: float = 0.0


class Drawing:
    """Boxes at their places; the axis along which the levels follow each other is y.

    Parameters
    ----------
    boxes : list of Box
        In an order in which each comes after those that it reads from.
    edges : list of (int, int)
        From which box to which, by their places. What leads back is drawn as a dashed line.
    rankdir : {"TB", "BT", "LR", "RL"}
        Where the levels go.

    Attributes
    ----------
    inches : tuple of float
        The width and height of the picture.
    """

    def __init__(self, boxes: list[Box], edges: list[tuple[int, int]], rankdir: str) -> None:
        self.boxes: list[Box] = boxes
        self.rankdir: str = rankdir
        self._sideways = rankdir in ("LR", "RL")
        self._back = [(boxes[a], boxes[b]) for a, b in edges if a >= b]
        forth = sorted({(a, b) for a, b in edges if a < b}, key=lambda edge: edge[1])
        for a, b in forth:
            boxes[b].level = max(boxes[b].level, boxes[a].level + 1)
        self._paths = [_path(boxes[a], boxes[b]) for a, b in forth]
        every = list(dict.fromkeys([*boxes, *(box for path in self._paths for box in path)]))
        self._levels: list[list[Box]] = [[] for _ in range(1 + max(box.level for box in boxes))]
        for box in every:
            box.size = _measured(box, self._sideways)
            self._levels[box.level].append(box)
        self._place()
        left = min(box.x - box.size[0] / 2 for box in every)
        right = max(box.x + box.size[0] / 2 for box in every)
        for box in every:
            box.x -= left
        across = right - left + 2 * _PAD + (_GAP if self._back else 0)
        along = self._depth + 2 * _PAD
        self.points: tuple[float, float] = (along, across) if self._sideways else (across, along)
        self.inches: tuple[float, float] = (self.points[0] / 72, self.points[1] / 72)

    # ------------------------------------------------------------------ places

    def _place(self) -> None:
        """Order each level by what its boxes are connected to, then move them over each other."""
        for sweep in range(_SWEEPS):
            down = sweep % 2 == 0
            for level in self._levels if down else reversed(self._levels):
                places = {box: place for place, box in enumerate(level)}
                near = {box: box.above if down else box.below for box in level}
                if sweep < _SWEEPS // 2:
                    others = {box: self._order_of(box, near[box], places) for box in level}
                    level.sort(key=others.__getitem__)
                wanted = [_mean([n.x for n in near[box]], box.x) for box in level]
                _spread(level, wanted)
        y = 0.0
        self._edges: list[tuple[float, float]] = []
        for level in self._levels:
            height = max(box.size[1] for box in level)
            for box in level:
                box.y = y + height / 2
            self._edges.append((y, y + height))
            y += height + _RISE
        self._depth = y - _RISE

    def _order_of(self, box: Box, near: list[Box], places: dict[Box, int]) -> float:
        return _mean([self._levels[n.level].index(n) for n in near], float(places[box]))

    # ------------------------------------------------------------------ ink

    def draw(self, axes: Any) -> None:
        """Draw on axes of matplotlib that fill a figure of the size `inches`."""
        from matplotlib.patches import FancyBboxPatch

        axes.set_axis_off()
        axes.set_xlim(0, self.points[0])
        axes.set_ylim(self.points[1], 0)
        axes.set_aspect("equal")
        for path in self._paths:
            self._line(axes, path)
        for source, target in self._back:
            self._line_back(axes, source, target)
        for box in self.boxes:
            x, y = self._at(box.x, box.y)
            width, height = box.size[::-1] if self._sideways else box.size
            found = [colours for word, colours in _COLOURS.items() if word in box.kind]
            edge, face = found[0] if found else _OTHERS
            axes.add_patch(
                FancyBboxPatch(
                    (x - width / 2, y - height / 2), width, height,
                    boxstyle="round,pad=0,rounding_size=5", edgecolor=edge, facecolor=face,
                    linewidth=1.1, zorder=2,
                )
            )  # fmt: skip
            for i, text in enumerate(box.lines):
                axes.text(
                    x, y + (i - (len(box.lines) - 1) / 2) * _LINE, text,
                    ha="center", va="center", fontsize=_font(i)[0], weight=_font(i)[1],
                    color=edge if i == 0 else "#333333", zorder=3, parse_math=False,
                )  # fmt: skip

    def _at(self, x: float, y: float) -> tuple[float, float]:
        y = self._depth - y if self.rankdir in ("BT", "RL") else y
        return (y + _PAD, x + _PAD) if self._sideways else (x + _PAD, y + _PAD)

    def _line(self, axes: Any, path: list[Box]) -> None:
        """Straight past the boxes of each level, and curved between two levels."""
        points = [(path[0].x, path[0].y + path[0].size[1] / 2)]

        def straight(y: float) -> None:
            (x, start), step = points[-1], (y - points[-1][1]) / 3
            if step > 0.01:
                points.extend([(x, start + step), (x, start + 2 * step), (x, y)])

        for a, b in zip(path, path[1:], strict=False):
            start, end = self._edges[a.level][1], self._edges[b.level][0]
            straight(start)
            middle = (start + end) / 2
            points.extend([(a.x, middle), (b.x, middle), (b.x, end)])
        straight(path[-1].y - path[-1].size[1] / 2)
        self._arrow(axes, points, "-")

    def _line_back(self, axes: Any, source: Box, target: Box) -> None:
        """From the side of a box to that of an earlier one, or of itself."""
        out = max(box.x + box.size[0] / 2 for box in (source, target)) + _GAP
        low, high = source.y + source.size[1] / 5, target.y - target.size[1] / 5
        points = [(source.x + source.size[0] / 2, low), (out, low), (out, high)]
        self._arrow(axes, [*points, (target.x + target.size[0] / 2, high)], "--")

    def _arrow(self, axes: Any, points: list[tuple[float, float]], style: str) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        path = Path(
            [self._at(*point) for point in points],
            [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1),
        )
        axes.add_patch(
            FancyArrowPatch(
                path=path, arrowstyle="-|>", mutation_scale=9, linewidth=1.1, linestyle=style,
                color="#555555", zorder=1, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip


def _path(source: Box, target: Box) -> list[Box]:
    """The boxes from one to another: on each level between them one without text."""
    path = [source, *(Box(level=n) for n in range(source.level + 1, target.level)), target]
    for a, b in zip(path, path[1:], strict=False):
        a.below.append(b)
        b.above.append(a)
    return path


def _font(line: int) -> tuple[float, str]:
    return (9.5, "bold") if line == 0 else (8.5, "normal")


def _measured(box: Box, sideways: bool) -> tuple[float, float]:
    """How far a box extends across the levels, and along."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not box.lines:
        return (2.0, 0.0)
    widths = [
        TextPath(
            (0, 0), text, size=_font(i)[0], prop=FontProperties(weight=_font(i)[1]),
            usetex=False,
        ).get_extents().width
        for i, text in enumerate(box.lines)
        if text.strip()
    ]  # fmt: skip
    width, height = max(widths, default=0.0) + 2 * _PAD, len(box.lines) * _LINE + _PAD
    return (height, width) if sideways else (width, height)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(level: list[Box], wanted: list[float]) -> None:
    """Move boxes to where they are wanted, as far as neighbours in their order let them."""
    end: float | None = None
    shift = 0.0
    for box, x in zip(level, wanted, strict=True):
        half = box.size[0] / 2
        box.x = x if end is None else max(x, end + half)
        end = box.x + half + _GAP
        shift += x - box.x
    for box in level:
        box.x += shift / len(level)
