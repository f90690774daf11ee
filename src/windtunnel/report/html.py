"""The report as one self-contained page that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Sequence

from windtunnel.report.content import StudyContent
from windtunnel.report.figures import Picture
from windtunnel.report.formatting import moment
from windtunnel.report.markup import Markup, joined, tag
from windtunnel.report.stylesheet import STATES_DARK, STATES_LIGHT, STYLESHEET
from windtunnel.report.tables import content_tables

_MARKS = {"good": "\u2713", "warn": "!", "bad": "\u2717"}
_TONES = {"good": "good", "warn": "caution", "bad": "bad"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_html(content: StudyContent, pictures: Sequence[Picture]) -> str:
    """The whole page: verdicts in words, then pictures, then tables.

    Args:
        content: What the study found.
        pictures: The figures of `windtunnel.report.figures.draw_pictures`.

    Returns:
        An HTML document without scripts, fonts or any address outside itself; light or dark as
        the reader's system asks, light on paper.
    """
    name = f"Windtunnel: {content.title}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", name),
        tag("style", Markup(_style())),
    )
    body = tag(
        "body",
        tag(
            "main",
            _header(content),
            *(_figure(picture) for picture in pictures),
            *content_tables(content),
        ),
        tag(
            "footer",
            f"Written by Windtunnel on {moment(content.made_at)}. This file works offline.",
        ),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _style() -> str:
    from windtunnel.report.figures.export import page_colours

    light, dark = page_colours()
    return (
        f":root{{color-scheme:light dark;{light}{STATES_LIGHT}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}{STATES_DARK}}}}}\n"
        f"{STYLESHEET}"
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


def _figure(picture: Picture) -> Markup:
    return tag(
        "section",
        tag("h2", picture.title, id=picture.name),
        tag(
            "figure",
            tag("div", Markup(picture.inline), class_="scroll"),
            tag("figcaption", picture.caption, id=f"{picture.name}-caption"),
        ),
    )
