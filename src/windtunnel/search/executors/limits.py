"""Whether a run takes more than it may, on one worker or on several."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from windtunnel.search.executors.process_tree import descendants, own_bytes, resident_bytes
from windtunnel.search.store import Progress
from windtunnel.spec import LimitsSpec

_LOOK_SECONDS = 0.5  # between two looks at the memory
# What passes between two looks counts for no more: then nobody was there, neither run nor watch
# (a job that was suspended, a laptop that slept).
_LONGEST_GAP = 10.0


class Watch:
    """Watches one run from its beginning; ask it every few seconds at least.

    Args:
        limits: What it may take.
        pid: The process that carries it out; those below it count too.
        clock: In seconds; never goes back.
        late: Seconds by which its progress may be told late.
    """

    def __init__(
        self,
        limits: LimitsSpec,
        pid: int,
        clock: Callable[[], float] = time.monotonic,
        late: float = 0.0,
    ) -> None:
        self._limits = limits
        self._pid = pid
        self._clock = clock
        self._late = late
        self._asked = self._looked = clock()
        self._silent = self._taken = 0.0

    def heard(self) -> None:
        """The run has made progress."""
        self._silent = 0.0

    def exceeded(self) -> str | None:
        """What the run takes too much of, in words; None while it keeps its limits."""
        now, limits = self._clock(), self._limits
        passed = min(now - self._asked, _LONGEST_GAP)
        self._asked = now
        self._silent += passed
        self._taken += passed
        if self._silent > limits.silence + self._late:
            return f"no progress for {limits.silence:g} seconds (limits.silence)"
        if limits.time is not None and self._taken > limits.time:
            return f"not done after {limits.time:g} seconds (limits.time)"
        if limits.memory is not None and now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            pids = [self._pid, *descendants(self._pid)]
            # The first is quick and counts what processes share for each of them.
            if resident_bytes(pids) > limits.memory and (held := own_bytes(pids)) > limits.memory:
                return (
                    f"{held / 1e9:.3g} GB of memory, where {limits.memory / 1e9:.3g} GB are "
                    "allowed (limits.memory)"
                )
        return None


@dataclass
class _Watched:
    number: int
    step: int
    watch: Watch


class Watches:
    """Watches what each worker trains, from outside: a run that hangs in native code tells nobody.

    Args:
        limits: What each run may take.
        clock: In seconds; never goes back.
        late: Seconds by which progress may be told late.
    """

    def __init__(
        self,
        limits: LimitsSpec,
        clock: Callable[[], float] = time.monotonic,
        late: float = 0.0,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._late = late
        self._watched: dict[str, _Watched] = {}

    def exceeded(
        self, workers: Mapping[str, int], progress: Sequence[Progress]
    ) -> list[tuple[str, int, str]]:
        """Which workers are to be ended, with the number of the run and what it takes too much of.

        A worker that hangs loses its lease, and the run may be another's by then; it is watched
        on until it takes another run or its own has ended. When a run takes too much, all workers
        that were caught in it are named.

        Args:
            workers: Process id by name, of those alive.
            progress: Every run in training.
        """
        running = {one.number: one for one in progress}
        held = {one.worker: one.number for one in progress if one.worker in workers}
        for name in list(self._watched):
            watched = self._watched[name]
            moved_on = held.get(name, watched.number) != watched.number
            if name not in workers or moved_on or watched.number not in running:
                del self._watched[name]
        for name, number in held.items():
            if name not in self._watched:
                self._watched[name] = self._begun(number, running[number].step, workers[name])
        found: dict[int, str] = {}
        for name, watched in list(self._watched.items()):
            step = running[watched.number].step
            if step > watched.step:
                watched.step = step
                watched.watch.heard()
            elif step < watched.step:  # begun anew, after an error
                watched = self._watched[name] = self._begun(watched.number, step, workers[name])
            too_much = watched.watch.exceeded()
            if too_much is not None:
                found.setdefault(watched.number, too_much)
        return [
            (name, watched.number, found[watched.number])
            for name, watched in self._watched.items()
            if watched.number in found
        ]

    def _begun(self, number: int, step: int, pid: int) -> _Watched:
        return _Watched(number, step, Watch(self._limits, pid, self._clock, self._late))
