"""Trainers for the executors' tests: what they do is written in the run's recipe."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from windtunnel.files import write_json
from windtunnel.scale import Run
from windtunnel.spec import StudySpec

ShouldStop = Callable[[], bool]
OnProgress = Callable[[int, int, float], None]


def loss_of(run: Run) -> float:
    return 3 + 0.03 * (math.log2(run.recipe.lr) + 7) ** 2 + run.init_seed / 1000


def steady(
    run: Run,
    folder: Path,
    spec: StudySpec,
    device: str,
    should_stop: ShouldStop,
    on_progress: OnProgress,
    step_seconds: float = 0.005,
    loss_of: Callable[[Run], float] = loss_of,
) -> dict[str, Any] | None:
    """Ten steps; resumes from its checkpoint; appends the steps it takes to `trained.txt`."""
    checkpoint = folder / "checkpoint.json"
    folder.mkdir(parents=True, exist_ok=True)
    first = json.loads(checkpoint.read_text())["step"] if checkpoint.exists() else 0
    for step in range(first + 1, 11):
        time.sleep(step_seconds)
        on_progress(step, 10, loss_of(run))
        if should_stop():
            write_json(checkpoint, {"step": step})
            return None
        with (folder / "trained.txt").open("a") as log:
            log.write(f"{step} {os.getpid()}\n")
    result = {
        "key": run.key,
        "status": "finished",
        "loss": loss_of(run),
        "loss_se": 0.01,
    }
    should_stop()
    write_json(folder / "result.json", result)
    return result


def slow(
    run: Run,
    folder: Path,
    spec: StudySpec,
    device: str,
    should_stop: ShouldStop,
    on_progress: OnProgress,
) -> dict[str, Any] | None:
    """As `steady`, a hundred times slower."""
    return steady(run, folder, spec, device, should_stop, on_progress, step_seconds=0.5)


def broken(*_: object) -> dict[str, Any] | None:
    raise ValueError("the model\nis broken")


def killed(run: Run, folder: Path, *_: object) -> dict[str, Any] | None:
    print("about to be killed", flush=True)
    os._exit(9)


def deaf(
    run: Run,
    folder: Path,
    spec: StudySpec,
    device: str,
    should_stop: ShouldStop,
    on_progress: OnProgress,
) -> dict[str, Any] | None:
    """Never asks whether it should stop."""
    time.sleep(60)
    return None


def poisoned(run: Run, folder: Path, *rest: Any) -> dict[str, Any] | None:
    """As `steady`, but kills its process for seed 13."""
    if run.init_seed == 13:
        print("about to be killed", flush=True)
        os._exit(9)
    return steady(run, folder, *rest)


def by_length(run: Run, folder: Path, *rest: Any) -> dict[str, Any] | None:
    """As `steady`; longer runs are better."""
    # Not by changing what steady returns: whoever dies before saying it has left it in the folder.
    return steady(run, folder, *rest, loss_of=lambda run: loss_of(run) + 300 / run.scale.units)


def poisonous(run: Run, folder: Path, *rest: Any) -> dict[str, Any] | None:
    """As `steady`, but seeds 13 to 16 hang, take too much memory, raise and give no number."""
    if run.init_seed == 13:
        time.sleep(600)
    if run.init_seed == 14:
        held = bytearray(b"x" * 600_000_000)
        time.sleep(600)
        del held
    if run.init_seed == 15:
        raise ValueError("the model is broken")
    result = steady(run, folder, *rest)
    if run.init_seed == 16 and result is not None:
        result |= {"status": "diverged", "loss": None, "loss_se": None}
    return result
