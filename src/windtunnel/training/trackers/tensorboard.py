"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from windtunnel.scale import Run
from windtunnel.training.trackers.tracker import result_numbers


class TensorBoardTracker:
    """Writes to `tensorboard/` in the run's folder.

    A run that goes on adds a file, which tells readers to forget the steps it has again.
    """

    def __init__(self) -> None:
        self._last = 0

    def start(self, run: Run, folder: Path, step: int, /) -> None:
        """See `Tracker`."""
        purged: dict[str, int] = {"purge_step": step} if step else {}
        self._last = step
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), **purged)
        if not step:
            self._writer.add_text("run", f"```json\n{json.dumps(run.to_json(), indent=2)}\n```", 0)

    def log(self, step: int, numbers: Mapping[str, float], /) -> None:
        """See `Tracker`."""
        self._last = step
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, result: Mapping[str, Any] | None, /) -> None:
        """See `Tracker`; the result's numbers are at the last step."""
        if result is not None:
            self.log(self._last, result_numbers(result))
        self._writer.close()
