"""The target on several processes: `torchrun --nproc-per-node 8 -m windtunnel.train STUDY`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from windtunnel.errors import WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.search.executors.run_files import run_folder
from windtunnel.search.executors.train_run import train_run
from windtunnel.studies.study import Study, open_study
from windtunnel.studies.target import target_runs, train_target
from windtunnel.studies.target_lock import target_held
from windtunnel.studies.words import target_sentence
from windtunnel.training.device import resolve_device
from windtunnel.training.ranks import joined_ranks

TOLD_SECONDS = 30.0


def main(arguments: list[str]) -> int:
    """Train the study's target together with the other processes that torchrun started.

    Told to stop (SIGTERM), they write a checkpoint and leave; the same command goes on from there,
    with any number of processes, as torchrun itself does after one of them died.

    Returns:
        The exit code: 0, 2 for bad input, 3 if the target diverged.
    """
    first = os.environ.get("RANK", "0") == "0"
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: torchrun --nproc-per-node N -m windtunnel.train STUDY", file=sys.stderr)
        return 2
    try:
        study = open_study(Path(arguments[0]))
        if study.spec.run is not None:
            raise WindtunnelError(
                "the study's runs are a command's; put torchrun into `run.command`, and call "
                "`windtunnel train STUDY`"
            )
        if not _trained(study):
            return 0
        if first:
            # The result is in the run's folder: this only takes it into the study.
            outcome = train_target(study, StudyProgress(quiet=True))
            print(target_sentence(outcome, study).text)
    except WindtunnelError as error:
        if first:
            print(f"windtunnel: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _trained(study: Study) -> bool:
    """Train the target; False if told to stop before it was complete."""
    run = target_runs(study, study.needed("forecast", "forecast"))[-1]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    device = resolve_device(study.spec.device).partition(":")[0]
    with joined_ranks(device, study.spec.training.tensor) as ranks, ExitStack() as held:
        refused: WindtunnelError | None = None
        if ranks.rank == 0:
            study.begin()
            try:
                held.enter_context(target_held(study))
            except WindtunnelError as error:
                refused = error
        if not ranks.all_say(refused is None):
            raise refused or WindtunnelError("another process trains the target now")
        result = train_run(
            run,
            run_folder(study.folder, run),
            study.spec,
            device,
            stop.is_set,
            _Telling(),
            ranks,
        )
    return result is not None


class _Telling:
    """Prints now and then how far the run is, and how long it will take."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._first: int | None = None

    def __call__(self, step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        self._first = step if self._first is None else self._first
        if now - self._told < TOLD_SECONDS and step < steps:
            return
        self._told = now
        pace = (now - self._began) / max(1, step - self._first)
        left = (steps - step) * pace / 60
        print(f"step {step:,} of {steps:,}, loss {loss:.4f}, {left:.0f} min left", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
