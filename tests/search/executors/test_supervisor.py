from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.brackets import Axis, BracketPolicy, Cell
from windtunnel.search.drive import Driver
from windtunnel.search.executors.run_files import run_folder
from windtunnel.search.executors.supervisor import Supervisor, carry_out
from windtunnel.search.fixed import FixedPolicy
from windtunnel.search.policy import Decision
from windtunnel.search.store import Store, study_database

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

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(study_database(folder), "study", Run.from_json)


def a_supervisor(
    folder: Path, store: Store, trainer: str, workers: int = 1, **options: Any
) -> Supervisor:
    return Supervisor(
        folder, store, ["cpu"] * workers, trainer=f"fake_trainers:{trainer}", **options
    )


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def states(store: Store) -> list[str]:
    return [row.state for row in store.list()]


def alive(pid: int) -> bool:
    """Whether it still runs; a zombie that its new parent has not buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_ladder_is_searched_to_its_end_by_two_workers(folder: Path, store: Store) -> None:
    policy = BracketPolicy([Cell("mup", A_RUN, seeds=2)], [Axis("lr", 2**-9, 2**-5)])
    driver = Driver(store, policy, lag=4, seed=0)
    with a_supervisor(folder, store, "steady", workers=2) as supervisor:
        stop = carry_out(driver, supervisor)
        pids = supervisor.pids
    assert "well inside" in stop.reason
    rows = driver.table()
    assert {row.state for row in rows} == {"finished"} and len(rows) == 5 + 3
    assert min((row.loss, row.run.recipe.lr) for row in rows if row.loss)[1] == 2**-7
    for row in rows:
        lines = (run_folder(folder, row.run) / "trained.txt").read_text().splitlines()
        assert [int(line.split()[0]) for line in lines] == list(range(1, 11)), "trained once"
    assert not any(alive(pid) for pid in pids)


def test_a_stop_is_graceful_quick_and_loses_nothing(folder: Path, store: Store) -> None:
    store.create(0, A_RUN, "tune")
    with a_supervisor(folder, store, "slow") as supervisor:
        wait_until(lambda: any(p.step >= 2 for p in store.progress()))
        pids = supervisor.pids
        start = time.monotonic()
    assert time.monotonic() - start < 2
    assert not any(alive(pid) for pid in pids)
    assert states(store) == ["waiting"]
    assert (run_folder(folder, A_RUN) / "checkpoint.json").exists()
    with a_supervisor(folder, store, "steady"):
        wait_until(lambda: states(store) == ["finished"])
    lines = (run_folder(folder, A_RUN) / "trained.txt").read_text().splitlines()
    steps = [int(line.split()[0]) for line in lines]
    assert len(steps) < 10 + 2 and steps[-1] == 10, "it went on from its checkpoint"


def test_a_worker_that_does_not_listen_is_ended_within_two_seconds(
    folder: Path, store: Store
) -> None:
    store.create(0, A_RUN, "tune")
    with a_supervisor(folder, store, "deaf") as supervisor:
        wait_until(store.progress)
        pids = supervisor.pids
        start = time.monotonic()
    assert time.monotonic() - start < 2
    assert not any(alive(pid) for pid in pids)
    assert states(store) == ["waiting"]


def test_a_killed_worker_is_replaced_and_its_run_goes_on_at_once(
    folder: Path, store: Store
) -> None:
    store.create(0, A_RUN, "tune")
    with a_supervisor(folder, store, "slow") as supervisor:
        wait_until(store.progress)
        (victim,) = supervisor.pids
        os.kill(victim, signal.SIGKILL)
        lines: list[str] = []
        wait_until(lambda: lines.extend(supervisor.check()) or lines)
        assert "by signal SIGKILL and was started again" in lines[0]
        assert supervisor.pids != (victim,)
        wait_until(store.progress, seconds=10)  # long before the lease of 30 seconds ends


def test_a_worker_stopped_past_its_lease_and_woken_writes_nothing(
    folder: Path, store: Store
) -> None:
    store.create(0, A_RUN, "tune")
    runs = run_folder(folder, A_RUN)
    with a_supervisor(folder, store, "slow", lease_seconds=2) as supervisor:
        wait_until(lambda: (runs / "trained.txt").exists())
        (victim,) = supervisor.pids
        os.kill(victim, signal.SIGSTOP)
        time.sleep(2.1)
        new = store.claim("new")
        assert new is not None, "its lease has ended"
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.parent == runs}
        os.kill(victim, signal.SIGCONT)
        wait_until(lambda: not alive(victim))
        assert {p: p.read_bytes() for p in folder.rglob("*") if p.parent == runs} == before
        store.report(new, 1, 10, 3.0)  # the new holder never noticed
        supervisor.check()
        time.sleep(0.5)
        store.report(new, 2, 10, 3.0)


def test_a_worker_stopped_for_less_than_its_lease_goes_on(folder: Path, store: Store) -> None:
    store.create(0, A_RUN, "tune")
    with a_supervisor(folder, store, "slow") as supervisor:
        wait_until(store.progress)
        (worker,) = supervisor.pids
        os.kill(worker, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(worker, signal.SIGCONT)
        wait_until(lambda: states(store) == ["finished"])
        assert supervisor.check() == [] and supervisor.pids == (worker,)


def test_a_result_that_was_written_but_not_reported_is_not_trained_again(
    folder: Path, store: Store
) -> None:
    store.create(0, A_RUN, "tune")
    with a_supervisor(folder, store, "steady"):
        wait_until(lambda: states(store) == ["finished"])
    store.close()
    (folder / "study.db").unlink()
    again = Store(study_database(folder), "study", Run.from_json)
    again.create(0, A_RUN, "tune")
    with a_supervisor(folder, again, "broken"):
        wait_until(lambda: states(again) == ["finished"])


def test_half_a_result_is_never_trusted(folder: Path, store: Store) -> None:
    store.create(0, A_RUN, "tune")
    runs = run_folder(folder, A_RUN)
    runs.mkdir(parents=True)
    (runs / "result.json").write_text('{"key": "' + A_RUN.key)
    (runs / ".result.json.123.tmp").write_text("half")
    with a_supervisor(folder, store, "steady"):
        wait_until(lambda: states(store) == ["finished"])
    assert (runs / "trained.txt").exists() and not (runs / ".result.json.123.tmp").exists()


def test_a_run_that_raises_three_times_ends_the_study_in_one_line(
    folder: Path, store: Store
) -> None:
    driver = Driver(
        store, BracketPolicy([Cell("mup", A_RUN)], [Axis("lr", 2**-9, 2**-5)]), lag=1, seed=0
    )
    with (
        pytest.raises(WindtunnelError, match="ValueError: the model is broken") as caught,
        a_supervisor(folder, store, "broken") as supervisor,
    ):
        carry_out(driver, supervisor)
    assert "\n" not in str(caught.value)


def test_a_run_that_kills_its_worker_three_times_fails_and_others_go_on(
    folder: Path, store: Store
) -> None:
    store.create(0, A_RUN.replace(init_seed=13), "tune")
    store.create(1, A_RUN, "tune")
    with a_supervisor(folder, store, "poisoned") as supervisor:
        wait_until(
            lambda: (supervisor.check() and False) or states(store) == ["failed", "finished"]
        )
    (failed, _) = store.list()
    assert failed.error is not None
    assert "with status 9 3 times in it: about to be killed" in failed.error


def poisoned_search(store: Store, place: int, lag: int) -> Driver:
    """Nine runs, one of which is poisoned in the way that its seed says."""
    runs = [A_RUN.replace(data_seed=number, init_seed=0) for number in range(9)]
    runs[place] = A_RUN.replace(init_seed=13, data_seed=place)
    return Driver(store, FixedPolicy([Decision(run, "tune") for run in runs]), lag=lag, seed=0)


@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_poisoned_run_costs_itself_alone(folder: Path, store: Store, place: int) -> None:
    driver = poisoned_search(store, place, lag=2)
    lines: list[str] = []
    with a_supervisor(folder, store, "poisoned", workers=2) as supervisor:
        carry_out(driver, supervisor, on_tick=lines.extend, each_alone=True)
    found = states(store)
    assert found == ["failed" if number == place else "finished" for number in range(9)]
    told = [line for line in lines if "counts as diverged" in line]
    assert len(told) == 1 and f"run {place} " in told[0]


def test_several_failures_in_a_row_are_nobodys_own_and_are_tried_again(
    folder: Path, store: Store
) -> None:
    axis = Axis("lr", 2**-9, 2**-5)
    policy = BracketPolicy([Cell("mup", A_RUN)], [axis])
    with (
        pytest.raises(WindtunnelError, match=r"runs in a row failed.*the model is broken.*anew"),
        a_supervisor(folder, store, "broken", workers=2) as supervisor,
    ):
        carry_out(Driver(store, policy, lag=2, seed=0), supervisor, each_alone=True)
    assert store.rewind_failed(range(100))
    driver = Driver(store, BracketPolicy([Cell("mup", A_RUN)], [axis]), lag=2, seed=0)
    with a_supervisor(folder, store, "steady") as supervisor:
        carry_out(driver, supervisor, each_alone=True)
    assert set(states(store)) == {"finished"}


def test_workers_that_cannot_start_are_said_with_their_last_words(
    folder: Path, store: Store
) -> None:
    with (
        pytest.raises(WindtunnelError, match=r"before training anything.*fake_trainers"),
        a_supervisor(folder, store, "no_such_trainer") as supervisor,
    ):
        wait_until(lambda: [*supervisor.check()] and False)


SUPERVISE = """
import sys, time
from pathlib import Path
from windtunnel.scale import Run
from windtunnel.search.executors.supervisor import Supervisor
from windtunnel.search.store import Store, study_database
folder = Path(sys.argv[1])
store = Store(study_database(folder), "study", Run.from_json)
with Supervisor(folder, store, ["cpu"] * 2, trainer="fake_trainers:slow") as supervisor:
    print(*supervisor.pids, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_is_left_running_when_the_supervisor_is_killed(
    folder: Path, store: Store, stopped: bool
) -> None:
    if stopped and sys.platform != "linux":
        pytest.skip("only Linux ends a stopped process with its parent")
    for number in range(2):
        store.create(number, A_RUN.replace(init_seed=number), "tune")
    main = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert main.stdout is not None
    pids = [int(pid) for pid in main.stdout.readline().split()]
    wait_until(lambda: len(store.progress()) == 2)
    if stopped:
        os.kill(pids[0], signal.SIGSTOP)
    main.kill()
    main.wait()
    main.stdout.close()
    wait_until(lambda: not any(alive(pid) for pid in pids), seconds=5)
    assert states(store) == ["running", "running"]
    with a_supervisor(folder, store, "steady"):  # does not wait for the dead workers' leases
        wait_until(lambda: states(store) == ["finished"] * 2, seconds=10)
