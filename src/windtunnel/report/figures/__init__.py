"""The report's figures. matplotlib is imported when the first one is drawn."""

from __future__ import annotations

from windtunnel.report.figures.picture import Picture, draw_pictures

__all__ = ["Picture", "draw_pictures"]
