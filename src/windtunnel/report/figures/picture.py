"""A figure with its caption, as SVG, as PNG and as SVG to stand in a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windtunnel.report.content import StudyContent
from windtunnel.report.searched import Searched

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure of a report.

    Attributes:
        name: File name without ending, and prefix of every id in the page.
        title: Its heading.
        caption: How to read it.
        svg: The figure as a stand-alone SVG file.
        inline: The figure as SVG for the page.
        png: The figure as a PNG file.
    """

    name: str
    title: str
    caption: str
    svg: str
    inline: str
    png: bytes


def draw_pictures(content: StudyContent) -> list[Picture]:
    """Draw whatever the content has data for, in the order a reader wants it."""
    pictures = []
    if content.sweeps:
        pictures.append(_rates(content))
    if content.search is not None and any(t.loss is not None for t in content.search.trials):
        pictures.append(_search(content, content.search))
    if any(check.curves for check in content.check.values()):
        pictures.append(_coordinates(content))
    if content.law is not None:
        pictures.append(_law(content))
    return pictures


def _rates(content: StudyContent) -> Picture:
    from windtunnel.report.figures.rates import draw_rates

    failed = any(point.loss is None for sweep in content.sweeps for point in sweep.points)
    caption = (
        f"Each dot is one training run, each line the mean over seeds. Rings mark the best "
        f"learning rate of every width; the dots and bars along the bottom repeat it with its "
        f"90 % range. Where a rule transfers ({content.rule} is the one chosen here) they stand "
        "above each other; where it does not, they walk to the side as models grow."
        + (
            " A cross at the top is a run that diverged or lies above the picture."
            if failed
            else ""
        )
    )
    return _picture(
        content, "learning-rates", "Does the best learning rate stay put?", caption, draw_rates
    )


def _search(content: StudyContent, search: Searched) -> Picture:
    from windtunnel.report.figures.searches import searched_figure

    caption = (
        f"Runs that {search.policy} decided on. Importance is the share of the differences in loss "
        "(by rank) that one hyperparameter explains alone. Losses of different scales can't be "
        "compared: each run is shown against the best of its own."
    )
    return _picture(
        content,
        "search",
        "What was tried, and where the FLOPs went",
        caption,
        lambda _: searched_figure(search),
    )


def _coordinates(content: StudyContent) -> Picture:
    from windtunnel.report.figures.coordinates import draw_coordinates

    caption = (
        "Root mean square (RMS) of what each module puts out, after the last optimizer step "
        "checked; a star in a name stands for every block. Level lines are what a working rule "
        "gives; lines that climb or sink with width mean that a learning rate tuned on a small "
        "model is too large or too small on a big one."
    )
    return _picture(
        content,
        "coordinate-check",
        "Do activations keep their size as the model grows?",
        caption,
        draw_coordinates,
    )


def _law(content: StudyContent) -> Picture:
    from windtunnel.report.figures.law import draw_law

    caption = "Dots are ladder runs, lines the fitted law, the band the target's 90 % range."
    if content.forecast is not None and content.forecast.loss is not None:
        caption += " The bar is the forecast with its range, written down before the target ran"
        caption += "; the star is what the target run reached." if content.target else "."
    return _picture(content, "law", "What loss will the target reach?", caption, draw_law)


def _picture(
    content: StudyContent,
    name: str,
    title: str,
    caption: str,
    draw: Callable[[StudyContent], Figure],
) -> Picture:
    from windtunnel.report.figures.export import to_inline, to_png, to_svg
    from windtunnel.report.figures.style import styled

    with styled():
        figure = draw(content)
    svg = to_svg(figure, name)
    return Picture(name, title, caption, svg, to_inline(svg, name), to_png(figure))
