"""One figure as files that stand alone and as SVG that follows the page's light or dark."""

from __future__ import annotations

import io
import re

from matplotlib.figure import Figure

from windtunnel.report.figures.style import PALETTE, styled

_VARIABLES = {colour.light: f"var(--{colour.name})" for colour in PALETTE}
# Without these entries matplotlib writes the date, and the same study would give other bytes.
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG file; the same figure always gives the same text."""
    buffer = io.StringIO()
    with styled(svg_hashsalt=name):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return buffer.getvalue()


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file at twice the screen's resolution."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    return buffer.getvalue()


def to_inline(svg: str, name: str) -> str:
    """An SVG file made fit to stand in a page beside others.

    Ids get the figure's name, since matplotlib gives every figure an `axes_1`; the palette's
    colours become CSS variables, which the page sets for light and dark; fixed sizes go.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", body)
    body = re.sub(r"#[0-9a-f]{6}\b", lambda match: _VARIABLES.get(match[0], match[0]), body)
    head, rest = body.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-labelledby="{name}-caption">{rest}'


def page_colours() -> tuple[str, str]:
    """The palette as CSS declarations, for light and for dark."""
    light = "".join(f"--{colour.name}:{colour.light};" for colour in PALETTE)
    dark = "".join(f"--{colour.name}:{colour.dark};" for colour in PALETTE)
    return light, dark
