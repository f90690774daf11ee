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
from windtunnel.search.executors.lease import LeaseGuard
from windtunnel.search.store import LEASE_SECONDS, Claim, LeaseLost, Store
from windtunnel.search.study_store import study_store
from windtunnel.spec import StudySpec, load_study

TRAINER = "windtunnel.search.executors.train_run:train_run"
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


def run_folder(study: Path, run: Run) -> Path:
    """Where a run's files are."""
    return study / "runs" / run.key


class Worker:
    """Claims and trains, one run at a time, until it is told to stop.

    Args:
        folder: The study's folder.
        spec: The study.
        store: Its runs.
        name: Unique name of this worker.
        device: Torch device to train on.
        trainer: Trains one run; see `windtunnel.search.executors.train_run`.
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
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._store = store
        self._name = name
        self._device = device
        self._trainer = trainer
        self._lease_seconds = lease_seconds
        self._stop = threading.Event()
        self._guard: LeaseGuard | None = None

    def request_stop(self, *_signal: object) -> None:
        """Stop at the next step: write a checkpoint and give the run back."""
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
            self._guard = LeaseGuard(self._store, claim, asked_at, self._stop.is_set)
            try:
                self._carry_out(claim, self._guard)
            except LeaseLost as lost:
                _log.warning("%s: its lease ended; nothing more is written for it", lost)
            finally:
                self._guard = None

    def _carry_out(self, claim: Claim[Run], guard: LeaseGuard) -> None:
        folder = run_folder(self._folder, claim.run)
        guard.should_stop()
        _remove_leftovers(folder)
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


def _remove_leftovers(folder: Path) -> None:
    """Half-written temporary files of a holder that was killed."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


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
    parser.add_argument("--lease-seconds", type=float, default=LEASE_SECONDS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        module, function = options.trainer.split(":")
        trainer = getattr(importlib.import_module(module), function)
        spec = load_study(options.folder / "study.yaml")
        worker = Worker(
            options.folder,
            spec,
            study_store(options.folder),
            name=worker_name(options.worker, os.getpid()),
            device=options.device,
            trainer=trainer,
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
