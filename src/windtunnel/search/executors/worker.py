"""A worker process: claims runs, trains them, and leaves nothing behind when its parent is gone.

Started by the supervisor as `python -m windtunnel.search.executors.worker FOLDER ...`.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Run
from windtunnel.search.executors.group_lease import GroupGuard
from windtunnel.search.executors.lease import LeaseGuard
from windtunnel.search.executors.pools import allowed
from windtunnel.search.executors.run_files import remove_leftovers, run_folder
from windtunnel.search.executors.together import Together
from windtunnel.search.store import LEASE_SECONDS, Claim, LeaseLost, Store
from windtunnel.search.study_store import study_store
from windtunnel.spec import StudySpec, load_study

TRAINER = "windtunnel.search.executors.train_runs:train_run"
LOST_LEASE = 75  # exit status: stopped past its lease and woken
POLL_SECONDS = 0.1

_log = logging.getLogger("windtunnel.worker")
_PR_SET_PDEATHSIG = 1

Trainer = Callable[
    [Run, Path, StudySpec, str, Callable[[], bool], Callable[[int, int, float], None]],
    dict[str, Any] | None,
]


def worker_name(index: int, pid: int) -> str:
    """How a worker is called in the store: unique on every machine that shares it."""
    return f"{index}@{socket.gethostname()}:{pid}"


class Worker:
    """Claims and trains, one run at a time or several at once, until it is told to stop.

    Args:
        folder: The study's folder.
        spec: The study.
        store: Its runs.
        name: Unique name of this worker.
        device: Torch device to train on.
        trainer: Trains one run; see `windtunnel.search.executors.train_run`.
        together: Trains several runs at once where that pays; None: never.
        lease_seconds: How long a claim lasts without progress.
    """

    def __init__(
        self,
        folder: Path,
        spec: StudySpec,
        store: Store[Run],
        *,
        name: str,
        device: str,
        trainer: Trainer,
        together: Together | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._store = store
        self._name = name
        self._device = device
        self._trainer = trainer
        self._together = together
        self._lease_seconds = lease_seconds
        self._stop = threading.Event()
        self._guard: LeaseGuard | GroupGuard | None = None

    def request_stop(self, *_signal: object) -> None:
        """Stop at the next step: write checkpoints and give back what is claimed."""
        self._stop.set()

    def woken(self, *_signal: object) -> None:
        """Runs before anything else when the process goes on after a SIGSTOP.

        Past its lease it ends at once, wherever it was, even half-way through writing a file:
        files are renamed into place when complete, and that now never happens.
        """
        if self._guard is not None and self._guard.expired:
            os._exit(LOST_LEASE)

    def work(self) -> None:
        """Claim and train until told to stop."""
        while not self._stop.is_set():
            asked_at = time.time()
            claim = self._store.claim(self._name, self._lease_seconds)
            if claim is None:
                self._stop.wait(POLL_SECONDS)
                continue
            more = [] if self._together is None else self._together.claim_more(claim)
            try:
                if self._together is not None and more:
                    claims, stopped = [claim, *more], self._stop.is_set
                    self._guard = group = GroupGuard(self._store, claims, asked_at, stopped)
                    self._together.carry_out(group)
                else:
                    self._guard = guard = LeaseGuard(
                        self._store, claim, asked_at, self._stop.is_set
                    )
                    self._carry_out(claim, guard)
            except LeaseLost as lost:
                _log.warning("%s: its lease ended; nothing more is written for it", lost)
            finally:
                self._guard = None

    def _carry_out(self, claim: Claim[Run], guard: LeaseGuard) -> None:
        folder = run_folder(self._folder, claim.run)
        guard.should_stop()
        remove_leftovers(folder)
        try:
            result = _result_in(folder, claim.run)
            if result is None:
                _log.info("run %d: %s on %s", claim.number, claim.run.key, self._device)
                result = self._trainer(
                    claim.run,
                    folder,
                    self._spec,
                    self._device,
                    guard.should_stop,
                    guard.on_progress,
                )
        except LeaseLost:
            raise
        except WindtunnelError as error:
            _log.exception("run %d", claim.number)
            self._store.fail(claim, str(error), hopeless=True)
        except Exception as error:
            # Any error of a model, a driver or torch itself: written down, shown to the person
            # after the third, and kept from taking the other runs with it.
            _log.exception("run %d", claim.number)
            self._store.fail(claim, " ".join(f"{type(error).__name__}: {error}".split()))
        else:
            if result is None:
                self._store.requeue(claim)
            else:
                self._store.finish(claim, result)


def _result_in(folder: Path, run: Run) -> dict[str, Any] | None:
    """The result that an earlier holder wrote but didn't live to report."""
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(result, dict) and {"key", "status", "loss"} <= set(result)
    return result if whole and result["key"] == run.key else None


def _leave_with_the_parent() -> None:
    """End this process when the supervisor does, however that comes about.

    The supervisor holds the other end of stdin, which closes even on kill -9; a thread waits for
    that. On Linux the kernel is asked too, since a stopped process runs no thread.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    def wait_for_the_end() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def main() -> None:
    """Run a worker as the supervisor asks."""
    _leave_with_the_parent()
    parser = argparse.ArgumentParser(prog="windtunnel worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worker", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--trainer", default=TRAINER)
    parser.add_argument("--workers", type=int, default=1, help="how many share the runs")
    parser.add_argument("--alone", action="store_true", help="train one run at a time")
    parser.add_argument("--lease-seconds", type=float, default=LEASE_SECONDS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        name, function = options.trainer.split(":")
        module = importlib.import_module(name)
        spec = load_study(options.folder / "study.yaml")
        store = study_store(options.folder)
        together = None
        if (
            hasattr(module, "train_many")
            and allowed(spec.population, options.device)
            and not options.alone
        ):
            together = Together(
                options.folder,
                spec,
                store,
                device=options.device,
                trainer=module,
                workers=options.workers,
            )
        worker = Worker(
            options.folder,
            spec,
            store,
            name=worker_name(options.worker, os.getpid()),
            device=options.device,
            trainer=getattr(module, function),
            together=together,
            lease_seconds=options.lease_seconds,
        )
        # Not before torch is imported: until here the default, to end at once, is right.
        signal.signal(signal.SIGTERM, worker.request_stop)
        signal.signal(signal.SIGCONT, worker.woken)
        worker.work()
    except WindtunnelError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
