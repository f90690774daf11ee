from __future__ import annotations

import json
from pathlib import Path

import pytest

from windtunnel.data.batches import TokenBatches
from windtunnel.errors import WindtunnelError
from windtunnel.models import Family
from windtunnel.scale import Run
from windtunnel.training.loop import train
from windtunnel.training.population import Population
from windtunnel.training.result import read_result
from windtunnel.training.train_population import train_population


@pytest.fixture
def runs(run: Run) -> list[Run]:
    wild = run.recipe.replace(lr=1e30, clip_norm=0.0)
    return [run, run.replace(init_seed=7), run.replace(recipe=wild)]


def lines(folder: Path) -> list[dict[str, float]]:
    text = (folder / "metrics.jsonl").read_text().replace("null", "NaN")
    return [json.loads(line) for line in text.splitlines()]


def test_each_folder_holds_what_a_single_run_leaves(
    runs: list[Run], family: Family, batches: TokenBatches, tmp_path: Path
) -> None:
    population = Population(runs, family=family, batches=batches)
    results = train_population(population, lambda run: tmp_path / run.key, checkpoint_seconds=0.05)
    assert results is not None
    assert {result.key for result in results} == {run.key for run in runs}
    for run in runs:
        folder, alone = tmp_path / run.key, tmp_path / f"{run.key} alone"
        expected = train(run, family=family, batches=batches, folder=alone)
        found = read_result(folder, run.key)
        assert found in results
        assert expected is not None
        assert found is not None
        assert found.status == expected.status
        assert found.loss == pytest.approx(expected.loss, abs=1e-5)
        assert len(lines(folder)) == len(lines(alone))
        for one, other in zip(lines(folder), lines(alone), strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-5, nan_ok=True)
        assert sorted(path.name for path in folder.iterdir()) == ["metrics.jsonl", "result.json"]
        # It is the run's result: nothing is trained again.
        assert train(run, family=family, batches=batches, folder=folder) == found


def test_runs_of_a_stopped_population_go_on_one_at_a_time(
    runs: list[Run], family: Family, batches: TokenBatches, tmp_path: Path
) -> None:
    population = Population(runs[:2], family=family, batches=batches)
    stopped = train_population(
        population, lambda run: tmp_path / run.key, should_stop=lambda: population.step == 9
    )
    assert stopped is None
    for run in runs[:2]:
        seen: list[int] = []
        result = train(
            run,
            family=family,
            batches=batches,
            folder=tmp_path / run.key,
            on_progress=lambda step, steps, loss, seen=seen: seen.append(step),
        )
        expected = train(run, family=family, batches=batches, folder=tmp_path / "alone" / run.key)
        assert seen[0] == 10
        assert result is not None
        assert expected is not None
        assert result.loss == pytest.approx(expected.loss, abs=1e-5)


def test_who_lost_the_claim_writes_nothing(
    runs: list[Run], family: Family, batches: TokenBatches, tmp_path: Path
) -> None:
    def lost() -> bool:
        if population.step >= 5:
            raise WindtunnelError("lost")
        return False

    population = Population(runs, family=family, batches=batches)
    with pytest.raises(WindtunnelError, match="lost"):
        train_population(population, lambda run: tmp_path / run.key, should_stop=lost)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_held_any_more_leaves_and_the_others_go_on(
    runs: list[Run], family: Family, batches: TokenBatches, tmp_path: Path
) -> None:
    """The second is lost half-way, the third after it has diverged."""

    def holds(run: Run) -> bool:
        return run == runs[0] or population.step < 9

    population = Population(runs, family=family, batches=batches)
    results = train_population(population, lambda run: tmp_path / run.key, holds=holds)
    assert results is not None
    assert [result.key for result in results] == [runs[0].key]
    assert [path.name for path in tmp_path.iterdir()] == [runs[0].key]
