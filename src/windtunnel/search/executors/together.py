"""What a worker does with several claims: trains the runs at once, or gives them back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from windtunnel.scale import Run
from windtunnel.search.claimed_together import claim_alike, requeue_all
from windtunnel.search.executors.group_lease import GroupGuard
from windtunnel.search.executors.pools import Pools
from windtunnel.search.executors.run_files import remove_leftovers, run_folder
from windtunnel.search.store import Claim, LeaseLost, Store
from windtunnel.spec import StudySpec

_log = logging.getLogger("windtunnel.worker")


class ManyTrainer(Protocol):
    """What a trainer's module offers beside training one run.

    See `windtunnel.search.executors.train_runs`.
    """

    def can_go_together(
        self, runs: Sequence[Run], spec: StudySpec, folder_of: Callable[[Run], Path]
    ) -> bool:
        """Whether runs can be trained at once."""
        ...

    def train_many(
        self,
        runs: Sequence[Run],
        spec: StudySpec,
        device: str,
        pools: Pools,
        *,
        folder_of: Callable[[Run], Path],
        should_stop: Callable[[], bool],
        holds: Callable[[Run], bool],
        on_progress: Callable[[int, int, Mapping[str, float]], None],
    ) -> list[dict[str, Any]] | None:
        """Train runs at once, if that is the faster way."""
        ...


class Together:
    """Claims runs that can be trained with another one, and trains them.

    Args:
        folder: The study's folder.
        spec: The study.
        store: Its runs.
        device: Torch device to train on.
        trainer: The trainer's module.
        workers: How many workers share the runs, this one included.
    """

    def __init__(
        self,
        folder: Path,
        spec: StudySpec,
        store: Store[Run],
        *,
        device: str,
        trainer: object,
        workers: int,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._store = store
        self._device = device
        self._trainer = cast("ManyTrainer", trainer)
        self._workers = workers
        self._pools = Pools(device)

    def claim_more(self, first: Claim[Run]) -> list[Claim[Run]]:
        """Claim what may be worth training at once with the first; mostly nothing."""
        least, most = self._pools.least(first.run), self._pools.most(first.run)
        if least > most or not self._go_together([first.run]):
            return []
        return claim_alike(
            self._store,
            first,
            lambda run: self._go_together([first.run, run]),
            least=least,
            most=most,
            workers=self._workers,
        )

    def carry_out(self, guard: GroupGuard) -> None:
        """Train what is held, and report each result; give the rest back.

        Runs that fail together are given back too, to be trained one at a time: then it shows
        which of them is to blame.

        Raises:
            LeaseLost: Every run is another worker's now.
        """
        claims = guard.held
        first = claims[0]
        try:
            for claim in claims:
                remove_leftovers(self._run_folder(claim.run))
            _log.info("runs %s on %s", [claim.number for claim in claims], self._device)
            results = self._trainer.train_many(
                [claim.run for claim in claims],
                self._spec,
                self._device,
                self._pools,
                folder_of=self._run_folder,
                should_stop=guard.should_stop,
                holds=guard.holds,
                on_progress=guard.on_progress,
            )
            held = {claim.run.key: claim for claim in guard.held}
            for result in results or []:
                with contextlib.suppress(LeaseLost):  # another worker's now, and so is its result
                    self._store.finish(held[result["key"]], result)
        except LeaseLost:
            raise
        except Exception:
            _log.exception("%d runs at once; one at a time from now on", len(claims))
            self._pools.never(first.run)
        requeue_all(self._store, guard.held)

    def _go_together(self, runs: Sequence[Run]) -> bool:
        return self._trainer.can_go_together(runs, self._spec, self._run_folder)

    def _run_folder(self, run: Run) -> Path:
        return run_folder(self._folder, run)
