from __future__ import annotations

import pytest
import torch

from windtunnel.data.batches import TokenBatches
from windtunnel.models import Family
from windtunnel.scale import Run
from windtunnel.training import choose as choose_module
from windtunnel.training.choose import MARGIN, choose, speed_up


@pytest.fixture
def runs(run: Run) -> list[Run]:
    scale = run.scale.replace(units=400 * run.recipe.batch_units)
    return [run.replace(scale=scale, init_seed=seed) for seed in range(8)]


def test_speed_is_counted_in_members_and_beside_all_processes() -> None:
    assert speed_up(1.0, 2.0, members=8, processes=1) == 4.0
    assert speed_up(1.0, 2.0, members=8, processes=4) == 1.0
    assert speed_up(1.0, 2.0, members=8, processes=64) == 0.5  # only 8 of them have a run


def test_the_faster_way_is_chosen_by_what_was_timed(
    runs: list[Run], family: Family, batches: TokenBatches
) -> None:
    choice = choose(runs, family=family, batches=batches)
    assert choice.population_seconds is not None
    assert min(choice.single_seconds, choice.population_seconds) > 0
    gain = 8 * choice.single_seconds / choice.population_seconds
    assert (choice.population is not None) == (gain > MARGIN)
    assert f"8 runs at once are {gain:.2f} times as fast as one at a time" in choice.reason
    # No more than 8 of 1,000 processes would be busy.
    beside = choose(runs, family=family, batches=batches, processes=1000)
    assert beside.population_seconds is not None
    gain = beside.single_seconds / beside.population_seconds
    assert (beside.population is not None) == (gain > MARGIN)
    assert f"{gain:.2f} times as fast as 1000 processes" in beside.reason


@pytest.mark.parametrize(("stacked", "chosen"), [(0.0078, True), (0.0079, False)])
def test_a_win_within_the_margin_is_none(
    stacked: float,
    chosen: bool,
    runs: list[Run],
    family: Family,
    batches: TokenBatches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose_module, "_single_seconds", lambda *arguments: 0.001)
    monkeypatch.setattr(choose_module, "_population_seconds", lambda population: stacked)
    choice = choose(runs, family=family, batches=batches)
    assert (choice.population is not None) == chosen


@pytest.mark.parametrize(
    ("stacked", "rounds"), [(0.0057, 3), (0.0059, 15), (0.0105, 15), (0.0107, 3)]
)
def test_a_close_race_is_timed_for_longer(
    stacked: float,
    rounds: int,
    runs: list[Run],
    family: Family,
    batches: TokenBatches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed = iter([1.0, *[stacked] * 14])  # one odd round decides nothing
    monkeypatch.setattr(choose_module, "_single_seconds", lambda *arguments: 0.001)
    monkeypatch.setattr(choose_module, "_population_seconds", lambda population: next(timed))
    choice = choose(runs, family=family, batches=batches)
    assert choice.population_seconds == stacked
    assert len(list(timed)) == 15 - rounds


def test_what_was_timed_is_not_done_again(
    runs: list[Run], family: Family, batches: TokenBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose_module, "MARGIN", 0.0)
    choice = choose(runs, family=family, batches=batches)
    assert choice.population is not None
    assert choice.population.step > choose_module.WARM_UP
    assert len(choice.population.losses()[0]) == choice.population.step


def test_why_there_is_no_population_is_said(
    runs: list[Run], family: Family, batches: TokenBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [run.replace(optimizer="sophia-g") for run in runs]
    choice = choose(others, family=family, batches=batches)
    assert choice.population is None
    assert choice.population_seconds is None
    assert "looks at the curvature" in choice.reason
    short = [run.replace(scale=run.scale.replace(units=64)) for run in runs]
    assert "hardly any steps" in choose(short, family=family, batches=batches).reason
    monkeypatch.setattr(choose_module, "LONG_STEP_SECONDS", 0.0)
    assert "launching" in choose(runs, family=family, batches=batches).reason


def test_a_device_that_is_too_small_is_told_apart(
    runs: list[Run], family: Family, batches: TokenBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(population: object) -> float:
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(choose_module, "_population_seconds", full)
    choice = choose(runs, family=family, batches=batches)
    assert choice.out_of_memory and choice.population is None
