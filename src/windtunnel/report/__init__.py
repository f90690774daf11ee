"""Figures, the HTML report, the live progress bar and the terminal's words."""
