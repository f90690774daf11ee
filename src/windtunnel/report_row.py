"""How a training script tells a study what it has reached: a line of JSON at a time."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

FOLDER = "WINDTUNNEL_RUN"  # the variable that names the run's folder
ROWS = "rows.jsonl"


def report_row(step: int, **values: float) -> None:
    """Write what was reached at a step; outside a study's run, and on ranks other than 0, nothing.

    Args:
        step: Steps done so far; rows follow each other.
        values: The study's metric under its name, and whatever else: `tokens`, `flops`, `params`,
            `loss_se` (the metric's standard error), `steps` (how many there will be). Numbers that
            aren't finite say that the run diverged.
    """
    folder = os.environ.get(FOLDER)
    if folder is None or os.environ.get("RANK", "0") != "0":
        return
    finite = {
        name: (float(value) if math.isfinite(value) else None) for name, value in values.items()
    }
    with Path(folder, ROWS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": int(step), **finite}) + "\n")
