"""Runs of a study trained at once by a worker, in our own loop."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from windtunnel.data.cache import default_cache
from windtunnel.data.corpus import open_corpus
from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.claimed_together import requeue_all
from windtunnel.search.executors import pools as pools_module
from windtunnel.search.executors import train_runs
from windtunnel.search.executors.group_lease import GroupGuard
from windtunnel.search.executors.run_files import run_folder
from windtunnel.search.executors.together import Together
from windtunnel.search.executors.train_run import train_run
from windtunnel.search.store import Store, study_database
from windtunnel.spec import StudySpec, load_study
from windtunnel.training import choose as choose_module

STUDY = """
family: {{name: gpt, options: {{head_size: 4}}}}
data: {{source: {source}, sequence_length: 16, validation_sequences: 16}}
device: cpu
population: timed
base: {{width: 8, depth: 1, tokens: 1600}}
ladder: {{width: [8], depth: 1, tokens: [1600]}}
target: {{width: 16, depth: 1, tokens: 1600}}
recipe: {{batch: 64}}
search: {{hyperparameters: {{lr: {{low: 0.004, high: 0.064}}}}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    draw = random.Random(0)
    documents = ["".join(draw.choices("abcdefgh ", k=250)) for _ in range(60)]
    text = tmp_path / "text.jsonl"
    text.write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY.format(source=text))
    return folder


@pytest.fixture
def spec(folder: Path) -> StudySpec:
    return load_study(folder / "study.yaml")


@pytest.fixture
def runs(spec: StudySpec) -> list[Run]:
    """Four of 25 steps, the third of which diverges."""
    run = Run(
        family="gpt",
        family_options=(("head_size", 4),),
        optimizer="adamw",
        rule="mup",
        base=Scale(8, 1, 1600),
        scale=Scale(8, 1, 1600),
        recipe=Recipe(lr=0.01, batch_units=64),
        data=DataIdentity(open_corpus(spec.data, default_cache()).content_hash, 16, 16),
    )
    wild = run.recipe.replace(lr=1e30, clip_norm=0.0)
    return [
        run,
        run.replace(recipe=run.recipe.replace(lr=0.03)),
        run.replace(recipe=wild),
        run.replace(init_seed=7),
    ]


@pytest.fixture
def store(folder: Path, runs: list[Run]) -> Store[Run]:
    store: Store[Run] = Store(study_database(folder), "study", Run.from_json)
    for number, run in enumerate(runs):
        store.create(number, run, "tune")
    return store


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets a population be chosen whatever the clock says; notes how many members were timed."""
    timed: list[int] = []

    def noted(runs: list[Run], **how: Any) -> choose_module.Choice:
        timed.append(len(runs))
        return choose_module.choose(runs, **how)

    monkeypatch.setattr(pools_module, "_SHARE", 0)
    monkeypatch.setattr(choose_module, "MARGIN", 0.0)
    monkeypatch.setattr(choose_module, "TIMED_SECONDS", 0.01)
    monkeypatch.setattr(train_runs, "choose", noted)
    return timed


@pytest.fixture
def together(folder: Path, spec: StudySpec, store: Store[Run]) -> Together:
    return Together(folder, spec, store, device="cpu", trainer=train_runs, workers=1)


def claimed(
    together: Together, store: Store[Run], should_stop: Callable[[], bool] = lambda: False
) -> GroupGuard:
    first = store.claim("w")
    assert first is not None
    return GroupGuard(store, [first, *together.claim_more(first)], store.now(), should_stop)


def states(store: Store[Run]) -> list[str]:
    return [row.state for row in store.list()]


def alone(run: Run, folder: Path, spec: StudySpec) -> dict[str, Any]:
    result = train_run(run, folder, spec, "cpu", lambda: False, lambda *progress: None)
    assert result is not None
    return result


def test_what_is_trained_at_once_has_the_results_of_single_runs(
    together: Together, store: Store[Run], chosen: list[int], spec: StudySpec, tmp_path: Path
) -> None:
    together.carry_out(claimed(together, store))
    assert states(store) == ["finished", "finished", "diverged", "finished"]
    for row in store.list():
        expected = alone(row.run, tmp_path / "alone" / row.run.key, spec)
        assert row.state == expected["status"]
        if row.loss is not None:
            assert row.loss == pytest.approx(expected["loss"], rel=1e-5)
        result = store.results()[row.number]
        assert result["exact"] is False
        assert result["environment"]["population"] == 4
    assert chosen == [4]


def test_what_was_chosen_once_is_not_timed_again(
    together: Together, store: Store[Run], chosen: list[int], runs: list[Run]
) -> None:
    together.carry_out(claimed(together, store))
    for number in range(4, 9):
        store.create(number, runs[0].replace(init_seed=100 + number), "tune")
    together.carry_out(claimed(together, store))
    assert chosen == [4]
    assert states(store).count("finished") == 8


def test_where_one_at_a_time_is_faster_all_are_given_back_and_that_is_remembered(
    together: Together,
    store: Store[Run],
    chosen: list[int],
    runs: list[Run],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose_module, "MARGIN", 1e9)
    together.carry_out(claimed(together, store))
    assert states(store) == ["waiting"] * 4
    assert not (folder / "runs").exists()
    assert len(claimed(together, store).held) == 1
    for number in range(4, 12):  # many more are another question
        store.create(number, runs[0].replace(init_seed=100 + number), "tune")
    guard = claimed(together, store)
    assert len(guard.held) == 11
    together.carry_out(guard)
    assert chosen == [4, 11]


def test_a_stop_keeps_checkpoints_that_single_runs_go_on_from(
    together: Together,
    store: Store[Run],
    chosen: list[int],
    runs: list[Run],
    folder: Path,
    spec: StudySpec,
) -> None:
    together.carry_out(claimed(together, store, should_stop=lambda: True))
    assert states(store) == ["waiting"] * 4
    going_on = [run for run in runs if run.recipe.lr < 1]
    for run in going_on:
        assert (run_folder(folder, run) / "checkpoint.safetensors").exists()
        # So it is trained alone, from there.
        assert not train_runs.can_go_together([run], spec, lambda run: run_folder(folder, run))
        steps: list[int] = []
        result = train_run(
            run,
            run_folder(folder, run),
            spec,
            "cpu",
            lambda: False,
            lambda step, of, loss, steps=steps: steps.append(step),
        )
        assert result is not None and steps[0] > 1
    assert [len(claimed(together, store).held) for _ in runs] == [1] * 4


def test_a_lost_lease_costs_one_run_and_nothing_is_written_for_it(
    together: Together, store: Store[Run], chosen: list[int], runs: list[Run], folder: Path
) -> None:
    steps = 0

    def steal() -> bool:
        nonlocal steps
        steps += 1
        if steps == 3:
            requeue_all(store, guard.held[1:2])
            stolen = store.claim("thief")
            assert stolen is not None and stolen.number == 1
        guard._ends = 0.0  # it looks at every step, as past its lease
        return False

    guard = claimed(together, store, steal)
    together.carry_out(guard)
    assert states(store) == ["finished", "running", "diverged", "finished"]
    assert not run_folder(folder, runs[1]).exists()
    assert [progress.worker for progress in store.progress()] == ["thief"]


def test_runs_that_fail_together_are_given_back_and_trained_alone_from_then_on(
    together: Together, store: Store[Run], chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise WindtunnelError("optimizer: can't be stacked")

    monkeypatch.setattr(train_runs, "train_population", broken)
    together.carry_out(claimed(together, store))
    assert states(store) == ["waiting"] * 4
    assert len(claimed(together, store).held) == 1


def test_what_cannot_go_together_is_claimed_alone(
    spec: StudySpec, runs: list[Run], tmp_path: Path
) -> None:
    def together(*runs: Run) -> bool:
        return train_runs.can_go_together(runs, spec, lambda run: tmp_path / run.key)

    run = runs[0]
    assert together(*runs)
    assert not together(run, run)
    assert not together(run, run.replace(data_seed=1))
    assert not together(run, run.replace(scale=Scale(12, 1, 1600)))
    assert not together(run.replace(scale=Scale(16, 1, 1600))), "the target's weights are kept"
    (tmp_path / run.key).mkdir()
    (tmp_path / run.key / "result.json").write_text("{}")
    assert not together(*runs)


def test_a_device_without_room_gets_half_as_many(
    together: Together, store: Store[Run], chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(population: object) -> float:
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(choose_module, "_population_seconds", full)
    together.carry_out(claimed(together, store))
    assert states(store) == ["waiting"] * 4
    assert len(claimed(together, store).held) == 2
