"""The memo as one self-contained page."""

from __future__ import annotations

from pathlib import Path

from windtunnel.files import write_atomically
from windtunnel.report.formatting import moment
from windtunnel.report.markup import tag
from windtunnel.report.memo.basis import Origin, assumptions_section, origin_section
from windtunnel.report.memo.findings import Findings
from windtunnel.report.memo.lead import lead_sentences
from windtunnel.report.memo.phrases import run_words
from windtunnel.report.memo.pictures import (
    frontier_section,
    iso_loss_section,
    profiles_section,
    residuals_section,
)
from windtunnel.report.memo.sections import (
    backtest_section,
    candidates_section,
    flags_section,
    law_section,
    plan_section,
    verdict_section,
)
from windtunnel.report.page import render_page


def write_memo(found: Findings, origin: Origin, path: Path) -> None:
    """Write the page, atomically.

    Args:
        found: What was found.
        origin: Where it comes from.
        path: The file.
    """
    write_atomically(path, render_memo(found, origin))


def render_memo(found: Findings, origin: Origin) -> str:
    """The page: the answer in words, the verdict, the pictures, then what they rest on."""
    title = f"What to train: {Path(found.table.source).stem}"
    asked = f"Target: {run_words(found.question.target)}. Made {moment(origin.made_at)}."
    header = tag(
        "header",
        tag("h1", title),
        tag("p", asked, class_="made"),
        tag("p", " ".join(lead_sentences(found)).replace(" %", "\u00a0%"), class_="lead"),
    )
    parts = (
        header,
        verdict_section(found),
        frontier_section(found),
        None if found.plan is None else plan_section(found.plan),
        iso_loss_section(found),
        residuals_section(found),
        backtest_section(found),
        law_section(found),
        profiles_section(found),
        candidates_section(found),
        flags_section(found),
        assumptions_section(found),
        origin_section(found, origin),
    )
    return render_page(
        f"Windtunnel: {title}",
        (part for part in parts if part is not None),
        f"Written by Windtunnel {origin.version}. This file works offline.",
    )
