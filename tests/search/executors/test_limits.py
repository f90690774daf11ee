"""What a run may take: a clock that a test moves, real processes, and real workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.drive import Driver
from windtunnel.search.executors.limits import Watch, Watches
from windtunnel.search.executors.supervisor import Supervisor, carry_out
from windtunnel.search.fixed import FixedPolicy
from windtunnel.search.policy import Decision
from windtunnel.search.store import Progress, Store, study_database
from windtunnel.spec import LimitsSpec

A_RUN = Run(
    family="gpt",
    family_options=(),
    optimizer="adamw",
    rule="mup",
    base=Scale(32, 2, 1000),
    scale=Scale(32, 2, 1000),
    recipe=Recipe(lr=0.01, batch_units=100),
    data=DataIdentity("abc", 128, 64),
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what processes hold")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def greedy() -> Iterator[int]:
    """A process that holds 200 MB in a child of its own."""
    child = "held = b'x' * 200_000_000; print(1, flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.communicate(b"\n", timeout=10)


def test_silence_is_counted_from_the_last_progress(clock: Clock) -> None:
    watch = Watch(LimitsSpec(silence=10), os.getpid(), clock)
    for clock.now in (9.0, 18.0):
        assert watch.exceeded() is None
        watch.heard()
    clock.now = 27.0
    assert watch.exceeded() is None
    clock.now = 28.5
    assert watch.exceeded() == "no progress for 10 seconds (limits.silence)"


def test_time_is_counted_from_the_beginning(clock: Clock) -> None:
    watch = Watch(LimitsSpec(time=10), os.getpid(), clock)
    clock.now = 9.0
    assert watch.exceeded() is None
    clock.now = 10.5
    watch.heard()
    assert watch.exceeded() == "not done after 10 seconds (limits.time)"


@linux
def test_memory_is_that_of_all_processes_together(clock: Clock, greedy: int) -> None:
    for allowed, exceeded in ((150_000_000, True), (400_000_000, False)):
        watch = Watch(LimitsSpec(memory=allowed), greedy, clock)
        clock.now += 1
        said = watch.exceeded()
        assert (said is not None) == exceeded
    clock.now += 1
    assert "of memory, where 0.15 GB are allowed" in str(
        _after(Watch(LimitsSpec(memory=150_000_000), greedy, clock), clock)
    )


def _after(watch: Watch, clock: Clock) -> str | None:
    clock.now += 1
    return watch.exceeded()


def test_a_worker_that_hangs_is_watched_when_its_run_is_already_another_s(clock: Clock) -> None:
    watches = Watches(LimitsSpec(silence=10), clock)
    workers = {"one": 1, "two": 2}
    assert watches.exceeded(workers, [Progress(7, 3, 9, None, "one")]) == []
    clock.now = 6.0  # its lease has ended, and the other one begins where it was
    assert watches.exceeded(workers, [Progress(7, 3, 9, None, "two")]) == []
    clock.now = 11.0
    said = "no progress for 10 seconds (limits.silence)"
    both = [("one", 7, said), ("two", 7, said)]  # caught in it, too
    assert watches.exceeded(workers, [Progress(7, 3, 9, None, "two")]) == both


def test_a_run_that_begins_anew_after_an_error_is_not_silent(clock: Clock) -> None:
    watches = Watches(LimitsSpec(silence=10, time=30), clock)
    workers = {"one": 1}
    for moment in range(0, 40, 2):
        clock.now = float(moment)
        step = moment if moment < 20 else moment - 20
        assert watches.exceeded(workers, [Progress(7, step, 99, None, "one")]) == []


def test_time_in_which_nobody_looked_does_not_count(clock: Clock) -> None:
    watch = Watch(LimitsSpec(silence=60, time=60), os.getpid(), clock)
    clock.now = 3600.0  # the job was suspended, run and supervisor alike
    assert watch.exceeded() is None


def test_progress_and_another_run_begin_anew(clock: Clock) -> None:
    watches = Watches(LimitsSpec(silence=10), clock)
    workers = {"one": 1}
    for clock.now, number, step in ((0.0, 7, 0), (9.0, 7, 1), (18.0, 7, 2), (27.0, 8, 0)):
        assert watches.exceeded(workers, [Progress(number, step, 9, None, "one")]) == []
    clock.now = 36.0
    assert watches.exceeded(workers, [Progress(8, 0, 9, None, "one")]) == []
    assert watches.exceeded(workers, []) == []
    clock.now = 99.0
    assert watches.exceeded(workers, [Progress(8, 0, 9, None, "one")]) == []


def carried_out(folder: Path, trainer: str, runs: list[Run], limits: LimitsSpec, **how: bool):
    store: Store[Run] = Store(study_database(folder), "study", Run.from_json)
    policy = FixedPolicy([Decision(run, "test") for run in runs])
    driver = Driver(store, policy, lag=4, seed=0)
    with Supervisor(
        folder, store, ["cpu"] * 2, trainer=f"fake_trainers:{trainer}", limits=limits
    ) as supervisor:
        carry_out(driver, supervisor, **how)
    assert not store.progress()
    return {row.run.init_seed: row for row in store.list()}


@linux
def test_poisoned_runs_cost_themselves_alone(folder: Path) -> None:
    """One hangs, one takes too much memory, one raises, one gives no number; the rest end well."""
    runs = [A_RUN.replace(init_seed=seed) for seed in range(10, 20)]
    limits = LimitsSpec(silence=3.0, memory=400_000_000)
    rows = carried_out(folder, "poisonous", runs, limits, each_alone=True)
    assert {seed for seed, row in rows.items() if row.state == "failed"} == {13, 14, 15}
    assert rows[16].state == "diverged"
    assert {row.state for seed, row in rows.items() if not 13 <= seed <= 16} == {"finished"}
    assert rows[13].error == "no progress for 3 seconds (limits.silence)"
    assert "GB of memory, where 0.4 GB are allowed (limits.memory)" in str(rows[14].error)
    assert rows[15].error == "ValueError: the model is broken"


@linux
def test_a_run_that_hangs_past_its_lease_takes_no_other_worker_with_it(folder: Path) -> None:
    runs = [A_RUN.replace(init_seed=seed) for seed in (13, 10, 11, 12)]
    store: Store[Run] = Store(study_database(folder), "study", Run.from_json)
    driver = Driver(store, FixedPolicy([Decision(run, "test") for run in runs]), lag=4, seed=0)
    with Supervisor(
        folder,
        store,
        ["cpu"] * 2,
        trainer="fake_trainers:poisonous",
        limits=LimitsSpec(silence=3.0),
        lease_seconds=1.0,
    ) as supervisor:
        first = supervisor.pids
        carry_out(driver, supervisor, each_alone=True)
        assert not set(first) & set(supervisor.pids)  # both were caught in it, one by one
    assert {row.state for row in store.list()[1:]} == {"finished"}


def test_a_run_that_takes_too_long_is_ended(folder: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"not done after 1 seconds \(limits.time\)"):
        carried_out(folder, "slow", [A_RUN], LimitsSpec(time=1.0))
