from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from windtunnel.data.batches import TokenBatches
from windtunnel.errors import WindtunnelError
from windtunnel.models import Family
from windtunnel.scale import Run
from windtunnel.training.loop import train
from windtunnel.training.population import Population
from windtunnel.training.result import RunResult

STEPS = 200
SMALLER = {"lion": 0.1, "sgd": 1.0}  # rates, over those that the others take


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Iterator[None]:
    """Among them torch's, that vmap takes members one by one."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*performance drop.*")
        yield
    torch.set_warn_always(before)


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def runs(run: Run) -> list[Run]:
    """Three that differ in all that members may differ in."""
    return differing(run)


def differing(run: Run, steps: int = 25, rate: float = 1.0) -> list[Run]:
    recipe, base = run.recipe, run.base.replace(width=4)
    units = steps * recipe.batch_units
    runs = [
        run.replace(recipe=recipe.replace(lr=0.003)),
        run.replace(
            recipe=recipe.replace(
                lr=0.01, weight_decay=0.3, beta1=0.8, beta2=0.99, eps=1e-4, clip_norm=0.2
            ),
            init_seed=8,
        ),
        run.replace(
            recipe=recipe.replace(lr=0.02, schedule="cosine", warmup_fraction=0.2, clip_norm=0.0),
            rule="sp",
            base=base,
        ),
    ]
    return [
        r.replace(
            scale=r.scale.replace(units=units), recipe=r.recipe.replace(lr=r.recipe.lr * rate)
        )
        for r in runs
    ]


def single(run: Run, family: Family, batches: TokenBatches, folder: Path) -> RunResult:
    result = train(run, family=family, batches=batches, folder=folder)
    assert result is not None
    return result


def logged(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [math.nan if (x := json.loads(line)["loss"]) is None else x for line in lines]


def distance(found: list[float], expected: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "muon", "adam-atan2"])
def test_each_member_equals_its_single_run_in_double_precision(
    optimizer: str, run: Run, family: Family, batches: TokenBatches, tmp_path: Path, double: None
) -> None:
    steps = STEPS if optimizer == "adamw" else 40
    runs = differing(run.replace(optimizer=optimizer), steps, SMALLER.get(optimizer, 1.0))
    population = Population(runs, family=family, batches=batches)
    assert population.train()
    results = population.results()
    for index, member in enumerate(runs):
        folder = tmp_path / str(index)
        expected = single(member, family, batches, folder)
        found = results[index]
        assert found.loss == pytest.approx(expected.loss, abs=1e-9)
        assert found.loss_se == pytest.approx(expected.loss_se, abs=1e-9)
        assert distance(population.losses()[index], logged(folder)) < 1e-9
        same = {"loss": 0, "loss_se": 0, "seconds": 0, "exact": 0, "environment": 0}
        assert found.to_json() | same == expected.to_json() | same
