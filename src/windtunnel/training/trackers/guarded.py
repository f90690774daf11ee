"""A tracker that can't stop a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from windtunnel.scale import Run
from windtunnel.training.trackers.tracker import Tracker

logger = logging.getLogger(__name__)


class GuardedTracker:
    """Passes everything on until the first failure; that is warned of, and nothing follows.

    What a run came to is in its own folder in any case; a server that is down or a full disk of
    the tracker's must not cost the hours that were trained.
    """

    def __init__(self, name: str, tracker: Tracker) -> None:
        """Guard one.

        Args:
            name: What the warning calls it.
            tracker: Not started yet.
        """
        self._name = name
        self._tracker: Tracker | None = tracker

    def start(self, run: Run, folder: Path, step: int, /) -> None:
        """See `Tracker`."""
        self._guard(lambda tracker: tracker.start(run, folder, step))

    def log(self, step: int, numbers: Mapping[str, float], /) -> None:
        """See `Tracker`."""
        self._guard(lambda tracker: tracker.log(step, numbers))

    def finish(self, result: Mapping[str, Any] | None, /) -> None:
        """See `Tracker`."""
        self._guard(lambda tracker: tracker.finish(result))

    def _guard(self, call: Callable[[Tracker], None]) -> None:
        if self._tracker is None:
            return
        try:
            call(self._tracker)
        except Exception as error:  # whatever a tracker's package raises
            self._tracker = None
            logger.warning(
                "tracker '%s' failed and is switched off for the rest of this run, which goes on "
                "(%s: %s)",
                self._name,
                type(error).__name__,
                error,
            )
