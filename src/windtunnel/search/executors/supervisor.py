"""Starts worker processes, replaces those that die, and stops them all in time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Run
from windtunnel.search.drive import Driver
from windtunnel.search.executors.lease import REPORT_SECONDS
from windtunnel.search.executors.limits import Watches
from windtunnel.search.executors.process_tree import end_all
from windtunnel.search.executors.worker import LOST_LEASE, TRAINER, worker_name
from windtunnel.search.policy import Budget, Stop
from windtunnel.search.store import LEASE_SECONDS, Progress, Store
from windtunnel.search.table import Row
from windtunnel.spec import LimitsSpec

GRACE_SECONDS = 1.5
COMMAND_GRACE_SECONDS = 12.0  # a worker gives its command ten to keep a checkpoint
MOST_DEATHS = 3
MOST_FAILURES = 3
_TAIL_LINES = 5
_MARK = "WINDTUNNEL_WORKER"  # the variable by which what a worker starts is known
_LOOK_SECONDS = 0.5  # between two looks at what runs take

# One thread a worker: two such processes beat one of two threads by 1.84 to 2.0 (design, section
# 5). The allocator keeps freed memory instead of asking the kernel for zeroed pages every step.
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
}


class Supervisor:
    """Worker processes for as long as a `with` block lasts.

    Args:
        folder: The study's folder, with its `study.yaml`; logs go to `logs/worker-i.log`.
        store: The study's runs.
        devices: The torch device of every worker.
        trainer: `module:function` that trains one run.
        threads: CPU threads of each worker.
        lease_seconds: How long a claim lasts without progress.
        limits: What each run may take; None where the trainer sees to that itself.
        grace: Seconds that workers have to leave when they are told to.
    """

    def __init__(
        self,
        folder: Path,
        store: Store[Run],
        devices: Sequence[str],
        *,
        trainer: str = TRAINER,
        threads: int = 1,
        lease_seconds: float = LEASE_SECONDS,
        limits: LimitsSpec | None = None,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._folder = folder
        self._store = store
        self._devices = tuple(devices)
        self._trainer = trainer
        self._threads = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._lease_seconds = lease_seconds
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._idle_deaths = 0
        self._deaths: Counter[int] = Counter()
        self._watches = None if limits is None else Watches(limits, late=REPORT_SECONDS)
        self._grace = grace
        self._mark = f"{socket.gethostname()}:{os.getpid()}:{id(self)}"
        self._looked = 0.0
        self._together: dict[str, set[int]] = {}
        self._alone = False

    def __enter__(self) -> Self:
        """Free what a killed supervisor's workers held, and start."""
        self._release_orphans()
        for index in range(len(self._devices)):
            self._start(index)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers, whatever ended the block."""
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers."""
        return tuple(worker.pid for worker in self._workers.values())

    def check(self) -> list[str]:
        """Replace workers that died, and those whose run takes too much; call it often.

        Returns:
            A line for people for each.

        Raises:
            WindtunnelError: Workers die again and again.
        """
        lines = []
        for index, worker in list(self._workers.items()):
            status = worker.poll()
            if status is not None:
                lines.append(self._replace(index, worker.pid, status))
        return lines + self._hold_to_limits()

    def _hold_to_limits(self) -> list[str]:
        """End workers whose run takes too much: that run alone fails, and another worker starts."""
        if self._watches is None or time.monotonic() - self._looked < _LOOK_SECONDS:
            return []
        self._looked = time.monotonic()
        workers = {worker_name(i, w.pid): i for i, w in self._workers.items()}
        pids = {name: self._workers[index].pid for name, index in workers.items()}
        progress = self._store.progress()
        self._note_together(progress)
        lines = []
        for name, number, too_much in self._watches.exceeded(pids, progress):
            index = workers[name]
            self._workers[index].kill()
            self._workers[index].wait()
            self._end_leftovers(index)
            # Which of several is to blame, and what each takes, shows when they are trained alone.
            together = number in self._together.pop(name, ())
            if together:
                self._alone = True
            else:
                self._store.give_up(number, too_much)
            self._store.release(name)
            self._start(index)
            ended = f"run {number} was ended"
            if together:
                ended = f"run {number} and those trained with it were given back"
            lines.append(f"{ended}, and worker {index} started again: {too_much}")
        return lines

    def _note_together(self, progress: Sequence[Progress]) -> None:
        """Remember which runs a worker trains at once, also when it has lost some of them."""
        held: dict[str, set[int]] = {}
        for one in progress:
            held.setdefault(one.worker, set()).add(one.number)
        self._together |= {name: numbers for name, numbers in held.items() if len(numbers) > 1}

    def stop(self) -> None:
        """Ask every worker to write a checkpoint and leave; end those that take too long."""
        workers, self._workers = dict(self._workers), {}
        for worker in workers.values():
            worker.terminate()
        deadline = time.monotonic() + self._grace
        for index, worker in workers.items():
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            self._end_leftovers(index)
            if worker.stdin is not None:
                worker.stdin.close()
            self._store.release(worker_name(index, worker.pid))

    def _start(self, index: int) -> None:
        log = self._log(index)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._workers[index] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "windtunnel.search.executors.worker"),
                    str(self._folder),
                    *("--worker", str(index)),
                    *("--device", self._devices[index]),
                    *("--trainer", self._trainer),
                    *("--lease-seconds", str(self._lease_seconds)),
                    *("--workers", str(len(self._devices))),
                    *(("--alone",) if self._alone else ()),
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_ENVIRONMENT, **self._threads, _MARK: self._marked(index)},
                start_new_session=True,  # so that Ctrl-C reaches the supervisor alone
            )

    def _replace(self, index: int, pid: int, status: int) -> str:
        """Give back what the dead worker held, and start another."""
        self._end_leftovers(index)
        name = worker_name(index, pid)
        line = f"worker {index} ended {_manner(status)}"
        held = [progress.number for progress in self._store.progress() if progress.worker == name]
        if len(held) > 1 and status != LOST_LEASE:
            self._alone = True  # nobody's fault until they were trained one at a time
            self._idle_deaths = 0
        elif status != LOST_LEASE:
            self._deaths.update(held)
            self._idle_deaths = 0 if held else self._idle_deaths + 1
        tail = self._tail(index)
        if self._idle_deaths >= MOST_DEATHS:
            raise WindtunnelError(f"{line} {MOST_DEATHS} times before training anything: {tail}")
        again = any(self._deaths[number] >= MOST_DEATHS for number in held)
        self._store.release(name, f"{line} {MOST_DEATHS} times in it: {tail}" if again else None)
        self._start(index)
        return f"{line} and was started again" + (f": {tail}" if status > 0 else "")

    def _end_leftovers(self, index: int) -> None:
        """End what a worker that is gone had started, in sessions of their own too."""
        end_all(_MARK, self._marked(index))

    def _marked(self, index: int) -> str:
        return f"{self._mark}:{index}"

    def _release_orphans(self) -> None:
        """Give back what workers of a killed supervisor on this machine held."""
        here = f"@{socket.gethostname()}:"
        for progress in self._store.progress():
            _, found, pid = progress.worker.partition(here)
            if found and not _alive(int(pid)):
                self._store.release(progress.worker)

    def _log(self, index: int) -> Path:
        return self._folder / "logs" / f"worker-{index}.log"

    def _tail(self, index: int) -> str:
        """The last lines of a worker's log, as one line."""
        with self._log(index).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode(errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-_TAIL_LINES:] if line.strip())


def carry_out(
    driver: Driver[Run],
    supervisor: Supervisor,
    *,
    budget: Callable[[], Budget] = Budget,
    on_tick: Callable[[list[str]], None] = lambda lines: None,
    seconds: float = 0.1,
    each_alone: bool = False,
) -> Stop:
    """Decide and train until the driver's policy has stopped and its last run has ended.

    Args:
        driver: Who decides.
        supervisor: Whose workers train.
        budget: Asked before every decision.
        on_tick: Called every `seconds` with new lines for people (mostly none); shows progress.
        seconds: How often to look.
        each_alone: A run that failed for good is a result like a diverged one, unless all the last
            ones have failed: then something is wrong that isn't theirs.

    Returns:
        Why the policy stopped.

    Raises:
        WindtunnelError: A run failed for good (with `each_alone`: `MOST_FAILURES` in a row), or
            workers die again and again.
    """
    told: set[int] = set()
    stop: Stop | None = None
    while True:
        lines = supervisor.check()
        table = driver.table()
        failed = [row for row in table if row.state == "failed"]
        lines += [
            f"run {row.number} ({row.purpose}) failed and counts as diverged: {row.error}"
            for row in failed
            if row.number not in told
        ]
        told |= {row.number for row in failed}
        on_tick(lines)
        last = failures_at_the_end(table)
        busy = any(not row.done for row in table)
        if failed and not each_alone:
            first = failed[0]
            raise WindtunnelError(f"run {first.number} ({first.purpose}): {first.error}")
        if len(last) >= MOST_FAILURES and not busy:
            raise WindtunnelError(
                f"{len(last)} runs in a row failed, the first, run {last[0].number} "
                f"({last[0].purpose}), with: {last[0].error}. Mend that and run the same command "
                "again: they will be tried anew."
            )
        if stop is not None and not busy:
            return stop
        # Whose fault a failure is shows in how the runs beside it end.
        if not (last and busy):
            stop = driver.advance(budget())
        time.sleep(seconds)


def failures_at_the_end(table: Sequence[Row[Run]]) -> list[Row[Run]]:
    """Failed runs that no later run has outlived."""
    ended = [row.number for row in table if row.state in ("finished", "diverged")]
    last = max(ended, default=-1)
    return [row for row in table if row.state == "failed" and row.number > last]


def _manner(status: int) -> str:
    return f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def _alive(pid: int) -> bool:
    """Whether a process can still do anything.

    In a container without an init process nobody buries orphans: they stay as zombies, which
    answer to signals but do nothing more.
    """
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return False
    except (PermissionError, FileNotFoundError):
        return True
    return status.rpartition(")")[2].split()[0] != "Z"
