"""A trainer of the tests' own that trains runs at once; what it does is written in their seeds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fake_trainers import loss_of, slow, steady

from windtunnel.files import write_json
from windtunnel.scale import Run

__all__ = ["can_go_together", "slow", "steady", "train_many"]

DIES, HANGS = 13, 14
SLOW = 1e-4  # a learning rate


def can_go_together(runs: Sequence[Run], spec: object, folder_of: Callable[[Run], Path]) -> bool:
    return not any((folder_of(run) / "result.json").exists() for run in runs)


def train_many(
    runs: Sequence[Run],
    *_: object,
    folder_of: Callable[[Run], Path],
    should_stop: Callable[[], bool],
    holds: Callable[[Run], bool],
    on_progress: Callable[[int, int, Mapping[str, float]], None],
) -> list[dict[str, Any]] | None:
    """Ten steps; each run's `together.txt` gets a line of how many there are and by whom."""
    for run in runs:
        folder_of(run).mkdir(parents=True, exist_ok=True)
        with (folder_of(run) / "together.txt").open("a") as log:
            log.write(f"{len(runs)} {os.getpid()}\n")
    if any(run.init_seed == DIES for run in runs):
        os._exit(9)
    if any(run.init_seed == HANGS for run in runs):
        time.sleep(600)
    for step in range(1, 11):
        time.sleep(0.5 if any(run.recipe.lr == SLOW for run in runs) else 0.02)
        on_progress(step, 10, {run.key: loss_of(run) for run in runs})
        if should_stop():
            return None
    results = [
        {"key": run.key, "status": "finished", "loss": loss_of(run), "loss_se": 0.01}
        for run in runs
        if holds(run)
    ]
    for run, result in zip(runs, results, strict=True):
        write_json(folder_of(run) / "result.json", result)
    return results
