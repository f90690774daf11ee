"""Weights & Biases: files in the run's folder, to be sent by `wandb sync`, or its server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from windtunnel.scale import Run
from windtunnel.training.trackers.tracker import result_numbers


class WandbTracker:
    """Logs offline, to `wandb/` in the run's folder, unless `WANDB_MODE` is set.

    Beside the run's description and numbers nothing is recorded: no command line, no code, no
    output and no use of the machine; errors of the package are not reported to its makers.
    """

    def __init__(self) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when it is imported
        import wandb

        self._wandb: Any = wandb

    def start(self, run: Run, folder: Path, step: int, /) -> None:
        """See `Tracker`; a run that goes on has the same id, so that its parts are joined."""
        folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "windtunnel"),
            id=run.key,
            name=f"{run.family} {run.scale.width}x{run.scale.depth} {run.key[:8]}",
            resume="allow",
            reinit="create_new",  # a run of the user's own in this process is left alone
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=str(folder),
            config=run.to_json(),
            settings=self._wandb.Settings(
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_stats=True,
            ),
        )

    def log(self, step: int, numbers: Mapping[str, float], /) -> None:
        """See `Tracker`."""
        self._run.log(dict(numbers), step=step)

    def finish(self, result: Mapping[str, Any] | None, /) -> None:
        """See `Tracker`; the result is the run's summary."""
        if result is not None:
            self._run.summary.update(
                {**result_numbers(result), "result/status": result.get("status")}
            )
        self._run.finish()
