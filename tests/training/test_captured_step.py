"""A step as a CUDA graph; the tests need a GPU, and the benchmark makes the same comparisons."""

from __future__ import annotations

import pytest
import torch

from windtunnel.data.batches import TokenBatches
from windtunnel.models import Family
from windtunnel.scale import Run
from windtunnel.training.population import Population

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def runs(run: Run) -> list[Run]:
    recipe = run.recipe
    return [run.replace(recipe=recipe.replace(lr=rate, beta2=0.9 + rate)) for rate in (0.003, 0.01)]


def test_a_captured_population_equals_an_eager_one_also_after_a_stop(
    runs: list[Run], family: Family, batches: TokenBatches
) -> None:
    runs.append(runs[0].replace(init_seed=9))
    found = []
    for capture in (False, True):
        population = Population(
            runs, family=family, batches=batches, device="cuda", capture=capture
        )
        population.train(until=8)
        population.stop([runs[1]])
        population.train(until=12)
        population.copy(source=runs[0], target=runs[2])
        population.train()
        found.append(torch.tensor(population.losses()))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)


def test_a_step_does_not_wait_for_the_gpu(
    runs: list[Run], family: Family, batches: TokenBatches
) -> None:
    population = Population(runs, family=family, batches=batches, device="cuda")
    population.train(until=2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        population.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")
