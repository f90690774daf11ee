"""The memo's pictures, each in a section with a caption that says how to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.report.markup import Markup
from windtunnel.report.memo.findings import Findings
from windtunnel.report.page import figure_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def frontier_section(found: Findings) -> Markup:
    """The law against compute, or against its one input."""
    from windtunnel.report.figures.frontier import frontier_figure

    of_both = {"params", "tokens"} <= set(found.law.inputs)
    caption = (
        "Each mark is a run, its colour and shape the size of its model; each thin line is what "
        "the law says of one size as it trains longer. The thick line is the least loss that the "
        "compute can buy, the band the 90 % range of one run there."
        if of_both
        else "Each mark is a run, the thick line the law, the band the 90 % range of one run there."
    )
    return _section(
        "frontier",
        "What does compute buy?" if of_both else "What does the law say?",
        f"{caption} The star is the target with its own 90 % range."
        + (" The ring is the plan." if found.plan is not None else ""),
        frontier_figure(found.law, found.question.target, _planned(found)),
    )


def iso_loss_section(found: Findings) -> Markup | None:
    """Equal losses, for a law in parameters and tokens."""
    if not {"params", "tokens"} <= set(found.law.inputs):
        return None
    from windtunnel.report.figures.iso_loss import iso_loss_figure

    return _section(
        "iso-loss",
        "Which models reach the same loss?",
        "Along a curve the law\u2019s loss is the same: a smaller model trained longer, or a "
        "larger one trained shorter. The thick line joins the cheapest of them, with the "
        "90 % range of where they lie; the dots are the runs, and where there are none the "
        "curves are a guess.",
        iso_loss_figure(found.law, found.question.target, _planned(found)),
    )


def residuals_section(found: Findings) -> Markup:
    """What lies off the law."""
    from windtunnel.report.figures.residuals import residuals_figure

    outliers = [
        row
        for flag in found.law.summary["flags"]
        if flag["rule"] == "outlier"
        for row in flag["rows"]
    ]
    return _section(
        "residuals",
        "What does the law miss?",
        "Above zero a run did worse than the law says. A slope or a bend would be something the "
        "law does not know; rows left out are compared with it too, though it never saw them.",
        residuals_figure(found.law, found.table, found.used, np.isin(found.table.lines, outliers)),
    )


def profiles_section(found: Findings) -> Markup | None:
    """How well each parameter is told."""
    if not found.profiles:
        return None
    from windtunnel.report.figures.profiles import profiles_figure

    ranges = {name: (low, high) for name, (low, high) in found.law.summary["ci90"].items()}
    return _section(
        "profiles",
        "How well do the runs tell the parameters?",
        "A parameter is held at each value and all others are fitted again; the curve says how "
        "much less likely the rows become (twice the drop of the log likelihood). Where it "
        "crosses the dashed line the 90 % range ends: a curve that never does is a parameter that "
        "the rows do not tell. The bar below is the range over refits to redrawn rows, which also "
        "keeps rows of one run together and redraws the prior.",
        profiles_figure(found.profiles, ranges),
    )


def _planned(found: Findings) -> dict[str, float] | None:
    if found.planned is None:
        return None
    return {axis.axis: axis.target for axis in found.planned.forecast.axes}


def _section(name: str, title: str, caption: str, figure: Figure) -> Markup:
    from windtunnel.report.figures.export import to_inline, to_svg

    return figure_section(name, title, caption, to_inline(to_svg(figure, name), name))
