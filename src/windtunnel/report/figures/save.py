"""A figure as a file of its own."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically
from windtunnel.report.figures.export import to_png, to_svg
from windtunnel.report.figures.style import styled


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as its path's ending says, atomically.

    Args:
        figure: The figure.
        path: Ends in .svg, .png or .pdf.

    Raises:
        WindtunnelError: It ends in something else, or cannot be written.
    """
    ending = path.suffix.lower()
    if ending == ".svg":
        write_atomically(path, to_svg(figure, path.stem))
    elif ending == ".png":
        write_atomically(path, to_png(figure))
    elif ending == ".pdf":
        write_atomically(path, _pdf(figure))
    else:
        raise WindtunnelError(f"{path}: pictures are written as .svg, .png or .pdf; choose one")


def _pdf(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with styled():
        # Without this entry matplotlib writes the date, and the same law would give other bytes.
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()
