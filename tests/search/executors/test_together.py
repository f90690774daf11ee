"""Workers that train runs at once, and what becomes of the runs when that goes wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.executors.run_files import run_folder
from windtunnel.search.executors.supervisor import Supervisor
from windtunnel.search.store import Store, study_database
from windtunnel.spec import LimitsSpec

A_RUN = Run(
    family="gpt",
    family_options=(),
    optimizer="adamw",
    rule="mup",
    base=Scale(32, 2, 1000),
    scale=Scale(32, 2, 100_000),
    recipe=Recipe(lr=0.01, batch_units=100),
    data=DataIdentity("abc", 128, 64),
)
DIES, HANGS, SLOW = 13, 14, 1e-4  # as in `fake_pools`

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def store(folder: Path) -> Store[Run]:
    study = folder / "study.yaml"
    study.write_text(study.read_text() + "population: timed\n")
    return Store(study_database(folder), "study", Run.from_json)


def filled(store: Store[Run], seeds: range | list[int], lr: float = 0.01) -> list[Run]:
    recipe = A_RUN.recipe.replace(lr=lr)
    runs = [A_RUN.replace(init_seed=seed, recipe=recipe) for seed in seeds]
    for number, run in enumerate(runs):
        store.create(number, run, "tune")
    return runs


def a_supervisor(folder: Path, store: Store[Run], workers: int = 1, **options: Any) -> Supervisor:
    return Supervisor(folder, store, ["cpu"] * workers, trainer="fake_pools:steady", **options)


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def states(store: Store[Run]) -> set[str]:
    return {row.state for row in store.list()}


def trained_together(folder: Path, run: Run) -> list[tuple[int, int]]:
    """Of how many, and by which process, each time."""
    path = run_folder(folder, run) / "together.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


def test_two_workers_share_the_runs_and_train_each_once(folder: Path, store: Store[Run]) -> None:
    runs = filled(store, range(100, 120))
    with a_supervisor(folder, store, workers=2):
        wait_until(lambda: states(store) == {"finished"})
    groups = [trained_together(folder, run) for run in runs]
    assert all(len(group) <= 1 for group in groups), "the last may be trained alone"
    assert max(size for group in groups for size, _ in group) == 10, "of 20 runs, or of 19"


def test_a_study_that_says_never_trains_one_at_a_time(folder: Path, store: Store[Run]) -> None:
    study = folder / "study.yaml"
    study.write_text(study.read_text().replace("timed", "auto"))  # on a CPU
    runs = filled(store, range(4))
    with a_supervisor(folder, store):
        wait_until(lambda: states(store) == {"finished"})
    assert not any(trained_together(folder, run) for run in runs)


def test_a_stop_gives_all_of_them_back(folder: Path, store: Store[Run]) -> None:
    filled(store, range(5), lr=SLOW)
    with a_supervisor(folder, store):
        wait_until(lambda: [p.step > 0 for p in store.progress()] == [True] * 5)
    assert states(store) == {"waiting"}


def test_a_killed_worker_loses_no_run(folder: Path, store: Store[Run]) -> None:
    runs = filled(store, range(5), lr=SLOW)
    with a_supervisor(folder, store) as supervisor:
        wait_until(lambda: all(trained_together(folder, run) for run in runs))
        (victim,) = supervisor.pids
        os.kill(victim, signal.SIGKILL)
        lines: list[str] = []
        wait_until(lambda: lines.extend(supervisor.check()) or states(store) == {"finished"})
    assert "by signal SIGKILL" in lines[0]
    assert len({row.run.key for row in store.list()}) == 5
    assert {len(trained_together(folder, run)) for run in runs} == {1}, "alone the second time"


def test_a_run_that_takes_its_process_with_it_costs_the_others_nothing(
    folder: Path, store: Store[Run]
) -> None:
    runs = filled(store, [1, 2, DIES, 3])
    with a_supervisor(folder, store) as supervisor:
        lines: list[str] = []
        wait_until(lambda: lines.extend(supervisor.check()) or states(store) == {"finished"})
    assert len(lines) == 1, "here it dies only among others"
    assert {len(trained_together(folder, run)) for run in runs} == {1}


@pytest.mark.skipif(sys.platform != "linux", reason="memory and processes are looked at on Linux")
def test_runs_that_hang_together_are_given_back_and_none_is_failed(
    folder: Path, store: Store[Run]
) -> None:
    runs = filled(store, [1, 2, HANGS, 3])
    with a_supervisor(folder, store, limits=LimitsSpec(silence=2.0)) as supervisor:
        lines: list[str] = []
        wait_until(lambda: lines.extend(supervisor.check()) or states(store) == {"finished"})
    assert len(lines) == 1
    assert "those trained with it were given back" in lines[0]
    assert {len(trained_together(folder, run)) for run in runs} == {1}
