"""The report as one self-contained page that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Sequence

from windtunnel.report.content import StudyContent
from windtunnel.report.figures import Picture
from windtunnel.report.formatting import moment
from windtunnel.report.markup import Markup, joined, tag
from windtunnel.report.page import figure_section, render_page
from windtunnel.report.tables import content_tables

_MARKS = {"good": "\u2713", "warn": "!", "bad": "\u2717"}
_TONES = {"good": "good", "warn": "caution", "bad": "bad"}


def render_html(content: StudyContent, pictures: Sequence[Picture]) -> str:
    """The whole page: verdicts in words, then pictures, then tables.

    Args:
        content: What the study found.
        pictures: The figures of `windtunnel.report.figures.draw_pictures`.

    Returns:
        An HTML document without scripts, fonts or any address outside itself; light or dark as
        the reader's system asks, light on paper.
    """
    return render_page(
        f"Windtunnel: {content.title}",
        (
            _header(content),
            *(figure_section(p.name, p.title, p.caption, p.inline) for p in pictures),
            *content_tables(content),
        ),
        f"Written by Windtunnel on {moment(content.made_at)}. This file works offline.",
    )


def _header(content: StudyContent) -> Markup:
    verdicts = [
        tag(
            "li",
            tag(
                "span",
                _MARKS[sentence.tone],
                class_="mark",
                role="img",
                aria_label=_TONES[sentence.tone],
            ),
            tag("b", sentence.label),
            tag("span", sentence.text),
            class_=sentence.tone,
        )
        for sentence in content.sentences
    ]
    following = (
        [tag("p", tag("b", "Next: "), tag("code", content.next_command), class_="next")]
        if content.next_command
        else []
    )
    made = f"Rule {content.rule}, optimizer {content.optimizer}. Made {moment(content.made_at)}."
    return tag(
        "header",
        tag("h1", content.title),
        tag("p", made, class_="made"),
        tag("ul", *verdicts, class_="verdicts") if verdicts else joined(()),
        *following,
    )
