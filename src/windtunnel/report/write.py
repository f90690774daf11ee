"""Put a study's report on disk."""

from __future__ import annotations

from pathlib import Path

from windtunnel.files import write_atomically
from windtunnel.report.content import StudyContent
from windtunnel.report.figures import draw_pictures
from windtunnel.report.html import render_html


def write_report(content: StudyContent, folder: Path) -> Path:
    """Write `report.html` and `figures/*.svg` and `*.png`, each atomically.

    Args:
        content: What the study found.
        folder: The study's folder.

    Returns:
        The path of `report.html`.
    """
    pictures = draw_pictures(content)
    for picture in pictures:
        write_atomically(folder / "figures" / f"{picture.name}.svg", picture.svg)
        write_atomically(folder / "figures" / f"{picture.name}.png", picture.png)
    page = folder / "report.html"
    write_atomically(page, render_html(content, pictures))
    return page
