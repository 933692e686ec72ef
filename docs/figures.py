"""The pictures of the manual. `python docs/figures.py` draws them anew, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent / "figures"
INK, PALE, PAPER, GREY = "#22303c", "#6f7d8a", "#ffffff", "#e9edf1"
GATES = {"i": "#4c86c6", "f": "#e08a3c", "c": "#4ba36b", "o": "#9068be"}
LIGHT = {"i": "#cfe0f2", "f": "#f8dfc6", "c": "#cfe9d8", "o": "#e2d6f0"}
LANES = 4  # of a vector in the pictures; AVX-512 has 16 of float32


class Drawing:
    """Shapes on a white sheet, as SVG."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" '
            'font-family="Helvetica, Arial, sans-serif" font-size="14">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker>'
            "</defs>",
            f'<rect width="{width}" height="{height}" rx="6" fill="{PAPER}"/>',
        ]

    def box(
        self, x: float, y: float, w: float, h: float, fill: str = GREY, line: str = INK, r: int = 0
    ) -> None:
        """A rectangle."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{r}" '
            f'fill="{fill}" stroke="{line}"/>'
        )

    def circle(self, x: float, y: float, text: str) -> None:
        """An operation of two numbers."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="13" fill="{PAPER}" stroke="{INK}"/>')
        self.text(x, y + 6, text, size=18)

    def line(self, *points: tuple[float, float], tip: bool = True, color: str = INK) -> None:
        """A line through points, with an arrow at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = ' marker-end="url(#tip)"' if tip else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"{end}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int = 14,
        anchor: str = "middle",
        color: str = INK,
        bold: bool = False,
    ) -> None:
        """A line of text."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{color}"{weight}>{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The file."""
        return "\n".join([*self._parts, "</svg>", ""])


def cell() -> Drawing:
    """One step of an LSTM."""
    d = Drawing(760, 330, "One step of an LSTM: four gates make c and h from x, h' and c'")
    d.line((62, 60), (714, 60))
    d.text(44, 65, "c'", bold=True)
    d.text(732, 65, "c", bold=True)
    d.line((62, 290), (620, 290), tip=False)
    d.text(36, 295, "x, h'", bold=True)
    for x, gate, name, function in (
        (180, "f", "f", "σ"),
        (310, "i", "i", "σ"),
        (440, "c", "g", "φ"),
        (620, "o", "o", "σ"),
    ):
        d.line((x, 290), (x, 251))
        d.box(x - 58, 215, 116, 34, LIGHT[gate], GATES[gate], 6)
        d.text(x, 237, f"{name} = {function}(z_{gate} + w_{gate})", size=13)
    d.text(150, 313, "z = x W + h' U   (F1, F2)", color=PALE)
    d.text(340, 195, "(F3)", color=PALE)
    d.line((180, 215), (180, 75))
    d.line((310, 215), (310, 145), (360, 145))
    d.line((440, 215), (440, 145), (390, 145))
    d.line((375, 132), (375, 75))
    d.line((540, 60), (540, 104), tip=True)
    d.box(515, 106, 50, 32, GREY, INK, 6)
    d.text(540, 127, "φ")
    d.line((565, 122), (620, 122), (620, 149))
    d.line((620, 215), (620, 178))
    d.line((633, 164), (714, 164))
    d.text(732, 169, "h", bold=True)
    for x, y, sign in ((180, 60, "×"), (375, 60, "+"), (375, 145, "×"), (620, 163, "×")):
        d.circle(x, y, sign)
    d.text(277, 40, "c = f * c' + i * g   (F4)", color=PALE)
    d.text(655, 105, "h = o * φ(c)   (F5)", color=PALE)
    return d


def packing() -> Drawing:
    """Weights as they are given, and as the kernels read them."""
    d = Drawing(760, 370, "The columns of the gates, and the panels that they are packed into")
    left, top, size, depth, blocks = 50, 136, 11, 8, 2
    d.text(left + 4 * blocks * LANES * size / 2, top - 36, "kernel: (depth, 4 units)", bold=True)
    for g, gate in enumerate(GATES):
        x = left + g * blocks * LANES * size
        d.text(x + blocks * LANES * size / 2, top - 10, gate, color=GATES[gate], bold=True)
        for block in range(blocks):
            for k in range(depth):
                for lane in range(LANES):
                    fill = GATES[gate] if block == 0 else LIGHT[gate]
                    at = x + (block * LANES + lane) * size
                    d.box(at, top + k * size, size, size, fill, PAPER)
    d.line((left - 14, top), (left - 14, top + depth * size), color=PALE)
    d.text(left - 24, top + depth * size / 2 + 4, "k", color=PALE)
    d.text(left, top + depth * size + 30, "dark: the first unit block,", anchor="start", color=PALE)
    d.text(
        left, top + depth * size + 50, "a vector of units of each gate", anchor="start", color=PALE
    )
    d.line((410, top + 44), (466, top + 44))
    d.text(438, top + 34, "pack", color=PALE)
    x, y = 490, 52
    d.text(x + 4 * LANES * size / 2, 28, "in memory", bold=True)
    for block in range(blocks):
        for k in range(depth):
            for g, gate in enumerate(GATES):
                for lane in range(LANES):
                    fill = GATES[gate] if block == 0 else LIGHT[gate]
                    d.box(x + (g * LANES + lane) * size, y + k * 17, size, 13, fill, PAPER)
        d.text(x + 4 * LANES * size + 20, y + depth * 17 / 2, f"block {block}", anchor="start")
        d.text(
            x + 4 * LANES * size + 20,
            y + depth * 17 / 2 + 18,
            "k = 0, 1, ...",
            anchor="start",
            color=PALE,
        )
        y += depth * 17 + 14
    d.text(x, y + 14, "read from top to bottom: one stream", anchor="start", color=PALE)
    return d


def tile() -> Drawing:
    """The product that everything rests on."""
    d = Drawing(760, 370, "A tile of six rows and four vectors that stays in registers")
    size, rows, depth = 22, 6, 9
    left, top = 40, 150
    d.text(left + depth * size / 2, top - 14, "six rows of x, then of h'", bold=True)
    for r in range(rows):
        for k in range(depth):
            d.box(left + k * size, top + r * size, size, size, PALE if k == 3 else GREY, PAPER)
    d.text(left + 3.5 * size, top + rows * size + 20, "k", color=INK)
    x, width = 300, 4 * LANES * 12
    d.text(x + width / 2, 36, "row k of the packed panel: four vectors", bold=True)
    for g, gate in enumerate(GATES):
        for lane in range(LANES):
            d.box(x + (g * LANES + lane) * 12, 50, 12, 20, GATES[gate], PAPER)
        d.text(x + (g + 0.5) * LANES * 12, 88, gate, color=GATES[gate], bold=True)
    d.text(x + width / 2, top - 14, "z of the tile: 24 registers", bold=True)
    for r in range(rows):
        for g, gate in enumerate(GATES):
            d.box(
                x + g * LANES * 12,
                top + r * size,
                LANES * 12 - 2,
                size - 3,
                LIGHT[gate],
                GATES[gate],
            )
        d.line((left + depth * size + 8, top + (r + 0.45) * size), (x - 8, top + (r + 0.45) * size))
    d.line((x + width / 2, 94), (x + width / 2, top - 32))
    d.text(left, 36, "for each k:", anchor="start", bold=True)
    d.text(left, 58, "one number a row, to all lanes,", anchor="start")
    d.text(left, 78, "times four vectors: 24 multiply-adds", anchor="start")
    y = top + rows * size / 2
    d.line((x + width + 8, y), (x + width + 52, y))
    d.box(x + width + 56, y - 34, 148, 68, GREY, INK, 6)
    d.text(x + width + 130, y - 8, "finish", bold=True)
    d.text(x + width + 130, y + 14, "(F3) to (F5): c, h")
    d.text(
        left,
        330,
        "The gates of a unit stand in the same lane of four registers, so the cell needs no other",
        anchor="start",
        color=PALE,
    )
    d.text(left, 350, "data: z never leaves the first-level cache.", anchor="start", color=PALE)
    return d


def threads() -> Drawing:
    """How threads share a call."""
    d = Drawing(760, 300, "Threads share the rows of a batch, or the units of few rows")
    for left, title, by_rows, note in (
        (50, "many rows: each thread has some", True, "they meet at the end"),
        (420, "few rows: each thread has some units", False, "they meet after each step"),
    ):
        rows, size = 8 if by_rows else 1, 22 if by_rows else 176
        d.text(left + 130, 32, title, bold=True)
        for step in range(4):
            x = left + step * 72
            d.text(x + 26, 268, f"step {step}" if step < 3 else "...", color=PALE)
            for r in range(rows):
                height = size if by_rows else size / 2
                for half in range(1 if by_rows else 2):
                    first = r < rows / 2 if by_rows else half == 0
                    fill, edge = ("i", "i") if first else ("f", "f")
                    d.box(
                        x,
                        56 + r * size + half * height,
                        52,
                        height - 3,
                        LIGHT[fill],
                        GATES[edge],
                        3,
                    )
            if step < 3:
                if by_rows:
                    for y in (100, 188):
                        d.line((x + 54, y), (x + 69, y))
                else:
                    d.line((x + 62, 50), (x + 62, 236), tip=False, color=INK)
        d.text(left + 130, 290, note, color=PALE)
    d.text(26, 108, "1", color=GATES["i"], bold=True)
    d.text(26, 196, "2", color=GATES["f"], bold=True)
    return d


def mask() -> Drawing:
    """Sequences of different lengths in one array."""
    d = Drawing(760, 240, "Four sequences of different lengths in one array")
    left, top, w, h = 110, 50, 78, 38
    d.text(left + 3 * w, 28, "timesteps", color=PALE)
    for row, length in enumerate((6, 4, 3, 5)):
        y = top + row * (h + 6)
        d.text(left - 16, y + 24, f"sample {row}", anchor="end")
        for t in range(6):
            real = t < length
            d.box(
                left + t * w,
                y,
                w - 8,
                h,
                LIGHT["c"] if real else GREY,
                GATES["c"] if real else PALE,
                4,
            )
            d.text(
                left + t * w + 35,
                y + 24,
                f"h, c at {t}" if real else f"as at {length - 1}",
                size=12,
                color=INK if real else PALE,
            )
        d.text(left + 6 * w + 8, y + 24, f"last output: of {length - 1}", anchor="start", size=13)
    return d


FIGURES: dict[str, Callable[[], Drawing]] = {
    f.__name__: f for f in (cell, mask, packing, threads, tile)
}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
