"""Where a run's files are in its study's folder."""

from __future__ import annotations

from pathlib import Path

from windtunnel.scale import Run


def run_folder(study: Path, run: Run) -> Path:
    """Where a run's files are."""
    return study / "runs" / run.key


def remove_leftovers(folder: Path) -> None:
    """Remove half-written temporary files of a holder that was killed."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
