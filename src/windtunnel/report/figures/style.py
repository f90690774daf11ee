"""How every figure looks: a colour-blind-safe palette with a light and a dark side, and axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour of the palette: what it is on white paper and what it becomes on dark paper."""

    name: str
    light: str
    dark: str


PAPER = Colour("paper", "#ffffff", "#14171c")
INK = Colour("ink", "#1d2127", "#e6e8eb")
FAINT = Colour("faint", "#5c6470", "#9aa3af")
GRID = Colour("grid", "#e3e6ea", "#2a3038")
FORECAST = Colour("forecast", "#00695c", "#4fd1c0")

# Sizes are ordered, so their colours are: eight even steps of matplotlib's `plasma`, which keeps
# its order under every common colour blindness, cut so that each step stands out from its paper.
_SIZES = tuple(
    Colour(f"size-{place}", light, dark)
    for place, (light, dark) in enumerate(
        (
            ("#e76f5a", "#cc4778"),
            ("#d8576b", "#da5b69"),
            ("#c6417d", "#e76f5a"),
            ("#ac2694", "#f2844b"),
            ("#8e0ca4", "#fa9b3d"),
            ("#6a00a8", "#fdb42f"),
            ("#46039f", "#fcd025"),
            ("#1b068d", "#f4ed27"),
        )
    )
)
PALETTE = (PAPER, INK, FAINT, GRID, FORECAST, *_SIZES)

_SETTINGS = {
    "axes.edgecolor": FAINT.light,
    "axes.facecolor": PAPER.light,
    "axes.grid": True,
    "axes.labelcolor": INK.light,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK.light,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": PAPER.light,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": GRID.light,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": INK.light,
    "savefig.facecolor": PAPER.light,
    "svg.fonttype": "none",
    "text.color": INK.light,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": FAINT.light,
    "xtick.labelcolor": INK.light,
    "ytick.color": FAINT.light,
    "ytick.labelcolor": INK.light,
}


def styled(**more: object) -> AbstractContextManager[None]:
    """Draw or save within this, and matplotlib's own settings stay as the user has them."""
    settings: dict[Any, Any] = {
        **_SETTINGS,
        **{name.replace("_", "."): more[name] for name in more},
    }
    return matplotlib.rc_context(settings)


def ordered_colours(count: int) -> list[str]:
    """Colours for `count` ordered things, spread over the palette; past eight they repeat."""
    if count <= 1:
        return [_SIZES[-2].light]
    last = len(_SIZES) - 1
    return [_SIZES[round(place * last / (count - 1))].light for place in range(count)]


def marker(place: int) -> str:
    """The marker of the thing at `place`, so that colour is never the only difference."""
    return MARKERS[place % len(MARKERS)]


def legend_above(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """One legend for the whole figure, in a row above its panels."""
    figure.legend(
        handles=list(handles),
        loc="outside upper left",
        ncols=columns,
        handletextpad=0.5,
        columnspacing=1.6,
    )


def panels(figure: Figure, rows: int, columns: int, *, share_y: bool | str) -> list[list[Axes]]:
    """A grid of axes with gridlines behind the data."""
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share_y)  # type: ignore[arg-type]
    for axes in grid.flat:
        axes.set_axisbelow(True)
        axes.tick_params(length=3)
    return [list(row) for row in grid]


def spread(values: Iterable[float], gap: float) -> list[float]:
    """Move labels' positions apart until neighbours are at least `gap` apart, order kept.

    Labels that would touch form a block centred on the mean of where its members belong.
    """
    places = list(values)
    blocks: list[list[int]] = []
    for index in sorted(range(len(places)), key=places.__getitem__):
        blocks.append([index])
        while len(blocks) > 1 and _top(blocks[-2], places, gap) + gap > _bottom(
            blocks[-1], places, gap
        ):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    moved = list(places)
    for block in blocks:
        for order, index in enumerate(block):
            moved[index] = _bottom(block, places, gap) + order * gap
    return moved


def _bottom(block: list[int], places: list[float], gap: float) -> float:
    centre = sum(places[index] for index in block) / len(block)
    return centre - gap * (len(block) - 1) / 2


def _top(block: list[int], places: list[float], gap: float) -> float:
    return _bottom(block, places, gap) + gap * (len(block) - 1)
