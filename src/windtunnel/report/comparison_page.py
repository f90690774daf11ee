"""A comparison of methods as one self-contained page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from windtunnel.comparing.compare_methods import MethodComparison
from windtunnel.comparing.judge import MethodAt
from windtunnel.comparing.words import comparison_words, verdict_sentence
from windtunnel.report.formatting import NOTHING, amount, fixed, moment, scientific, significant
from windtunnel.report.markup import Markup, tag
from windtunnel.report.page import figure_section, render_page
from windtunnel.report.tables import Column, table

_MANY = 4  # methods beside the baseline; above it their verdicts are put together
_GROUPS = {
    "better": "Better than {baseline} at the largest scale, by loss: {names}.",
    "worse": "Worse than {baseline} at the largest scale, by loss: {names}.",
    "no difference shown": "No difference from {baseline} is shown for {names}.",
    "cannot say": "Nothing can be said of {names}.",
}
_CAPTIONS = {
    "differences": (
        "How much higher or lower is the loss?",
        "Each mark is a method at a scale: its loss at the end of training over the baseline's "
        "with the same seeds, and the 90 % range. A full mark is a verdict, an open one none.",
    ),
    "speed-up": (
        "How much less training for the same loss, and does it hold as models grow?",
        "The baseline's time over the method's, to one loss, at each scale, with 90 % ranges. "
        "Above 1 the method is faster.",
    ),
    "performance-profile": (
        "How often is each method near the fastest?",
        "AlgoPerf's performance profile: the share of scales at which a method reaches the loss "
        "within so many times the fastest one's training.",
    ),
}


def comparison_page(found: MethodComparison, title: str) -> str:
    """The page: verdicts in words, the pictures, then what they rest on.

    Args:
        found: What was found.
        title: What was compared.
    """
    lead = _lead(found)
    header = tag(
        "header",
        tag("h1", title),
        tag("p", f"Made {moment(datetime.now(UTC).isoformat(timespec='seconds'))}.", class_="made"),
        *(tag("p", sentence.replace(" %", "\u00a0%"), class_="lead") for sentence in lead),
    )
    beside = [line for line in comparison_words(found) if line not in lead]
    said = tag(
        "section",
        tag("h2", "What else is to be known"),
        tag("ul", *(tag("li", line) for line in beside)),
    )
    return render_page(
        f"Windtunnel: {title}",
        (header, *_pictures(found), said, _cells(found), _tuning(found)),
        "Written by Windtunnel. This file works offline.",
    )


def _lead(found: MethodComparison) -> list[str]:
    """A sentence a method, or one a verdict where they are many."""
    if len(found.headlines) <= _MANY:
        return [verdict_sentence(found, cell, one) for cell, one in found.headlines]
    sentences = []
    for verdict in dict.fromkeys(one.verdict for _, one in found.headlines):
        those = [one for _, one in found.headlines if one.verdict == verdict]
        those.sort(key=lambda one: 0.0 if one.difference is None else one.difference.mean or 0.0)
        names = ", ".join(f"{one.method} ({_percent(one).split(' ')[0]} %)" for one in those)
        sentences.append(_GROUPS[verdict].format(baseline=found.baseline, names=names))
    return sentences


def _pictures(found: MethodComparison) -> list[Markup]:
    from windtunnel.report.figures.comparison import comparison_figures
    from windtunnel.report.figures.export import to_inline, to_svg

    return [
        figure_section(name, *_CAPTIONS[name], to_inline(to_svg(figure, name), name))
        for name, figure in comparison_figures(found).items()
    ]


def _cells(found: MethodComparison) -> Markup:
    rows = [
        (
            one.method,
            cell.cell.name or NOTHING,
            NOTHING if one.length is None else amount(one.length),
            one.verdict,
            _percent(one),
            NOTHING if one.p is None else scientific(one.p),
            _speed_up(one),
            NOTHING if one.state is None else fixed(one.state, 2),
        )
        for cell in found.cells
        for one in cell.methods
    ]
    columns = (
        Column("Method"),
        Column("Scale", "name"),
        Column(found.table.unit.capitalize(), "number"),
        Column("Verdict", "name"),
        Column("Loss over the baseline\u2019s, %", "number"),
        Column("p", "number"),
        Column(f"Speed-up in {found.table.unit}", "number"),
        Column("State over the baseline\u2019s", "number"),
    )
    return tag("section", tag("h2", "Every scale"), table(columns, rows))


def _percent(one: MethodAt) -> str:
    if one.difference is None or one.difference.mean is None or one.difference.ci90 is None:
        return NOTHING
    ends = (one.difference.mean, *one.difference.ci90)
    value, low, high = (f"{100 * math.expm1(end):+.2f}" for end in ends)
    return f"{value} ({low} to {high})"


def _speed_up(one: MethodAt) -> str:
    said = one.speed_up("units")
    if said is None or said.estimate is None:
        return NOTHING
    low, high = said.estimate.ci90
    return f"{said.estimate.value:.2f} ({low:.2f} to {high:.2f})"


def _tuning(found: MethodComparison) -> Markup:
    """What was spent on each method, and the best of what was tried."""
    runs = found.table.runs
    rows: list[Sequence[str]] = []
    for method in found.table.methods:
        own = [run for run in runs if run.method == method]
        counts = Counter(run.stage for run in own)
        tuning = [run for run in own if run.stage == "tuning"]
        best = min(tuning, key=lambda run: run.loss, default=None)
        settings = {} if best is None else best.settings
        rows.append(
            (
                method,
                *(str(counts[stage]) for stage in ("tuning", "final", "spot check")),
                scientific(sum(run.flops or 0.0 for run in tuning)) if tuning else NOTHING,
                ", ".join(f"{name} {significant(value)}" for name, value in settings.items())
                or NOTHING,
            )
        )
    columns = (
        Column("Method"),
        Column("Tuning runs", "number"),
        Column("Runs that count", "number"),
        Column("Spot checks", "number"),
        Column("FLOPs of tuning", "number"),
        Column("Best of tuning", "name"),
    )
    return tag("section", tag("h2", "How they were tuned"), table(columns, rows))
