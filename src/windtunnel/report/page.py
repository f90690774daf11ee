"""The shell of a self-contained page, and a figure in it."""

from __future__ import annotations

from collections.abc import Iterable

from windtunnel.report.markup import Markup, tag
from windtunnel.report.stylesheet import STATES_DARK, STATES_LIGHT, STYLESHEET

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_page(title: str, parts: Iterable[Markup], footer: str) -> str:
    """An HTML document without scripts, fonts or any address outside itself.

    Light or dark as the reader's system asks, light on paper.

    Args:
        title: The window's title.
        parts: What stands in it, from the top.
        footer: A line below everything.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(_style())),
    )
    body = tag("body", tag("main", *parts), tag("footer", footer))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def figure_section(name: str, title: str, caption: str, inline: str) -> Markup:
    """A picture under its heading, described by its caption.

    Args:
        name: Prefix of every id in the picture.
        title: The heading.
        caption: How to read it.
        inline: The picture as `figures.export.to_inline` gives it.
    """
    return tag(
        "section",
        tag("h2", title, id=name),
        tag(
            "figure",
            tag("div", Markup(inline), class_="scroll"),
            tag("figcaption", caption, id=f"{name}-caption"),
        ),
    )


def _style() -> str:
    from windtunnel.report.figures.export import page_colours

    light, dark = page_colours()
    return (
        f":root{{color-scheme:light dark;{light}{STATES_LIGHT}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}{STATES_DARK}}}}}\n"
        f"{STYLESHEET}"
    )
