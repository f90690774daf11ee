"""What a run tells its trackers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from windtunnel.scale import Run


class Tracker(Protocol):
    """A logger of one run: started, told of steps in order, and finished, in one process."""

    def start(self, run: Run, folder: Path, step: int, /) -> None:
        """Open the run's record, or go on with it.

        Args:
            run: Its key is the record's identity; its description is logged.
            folder: The run's own, where records that stay on this machine are kept.
            step: The first that will be logged: 0, or where a checkpoint was; what was logged
                from there on will be logged again.
        """
        ...

    def log(self, step: int, numbers: Mapping[str, float], /) -> None:
        """Log some numbers of one step, which may be NaN or infinite; it returns quickly."""
        ...

    def finish(self, result: Mapping[str, Any] | None, /) -> None:
        """Log the result and close the record.

        Args:
            result: The run's, as plain JSON values; None if the run was stopped and goes on
                another time.
        """
        ...


def result_numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among a result's values, as `result/loss` and so on."""
    return {
        f"result/{name}": float(value)
        for name, value in result.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
