from __future__ import annotations

import pytest

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.executors.pools import MOST, Pools, allowed

A_RUN = Run(
    family="gpt",
    family_options=(),
    optimizer="adamw",
    rule="mup",
    base=Scale(32, 2, 1000),
    scale=Scale(32, 2, 100_000),  # 1000 steps
    recipe=Recipe(lr=0.01, batch_units=100),
    data=DataIdentity("abc", 128, 64),
)


@pytest.mark.parametrize(
    ("population", "device", "expected"),
    [
        ("auto", "cuda:1", True),
        ("auto", "cpu", False),
        ("timed", "cpu", True),
        ("timed", "cuda", True),
        ("never", "cuda:0", False),
    ],
)
def test_auto_is_on_a_gpu_alone(population: str, device: str, expected: bool) -> None:
    assert allowed(population, device) is expected  # type: ignore[arg-type]


def test_a_choice_is_remembered_for_its_kind_alone() -> None:
    pools = Pools("cuda:0")
    other = A_RUN.replace(recipe=A_RUN.recipe.replace(lr=1.0), init_seed=3)
    wider = A_RUN.replace(scale=Scale(64, 2, 100_000))
    assert pools.least(A_RUN) == 2 and not pools.known_to_pay(A_RUN, MOST)
    pools.does_not_pay(A_RUN, 4)
    pools.pays(A_RUN, 16)
    assert pools.least(other) == 8
    assert [pools.known_to_pay(other, members) for members in (15, 16, 17)] == [False, True, True]
    assert pools.least(wider) == 2 and not pools.known_to_pay(wider, 16)


def test_too_many_are_halved_and_what_fails_is_never_tried_again() -> None:
    pools = Pools("cuda:0")
    pools.too_many(A_RUN, 64)
    assert pools.most(A_RUN) == 32
    pools.never(A_RUN)
    assert pools.most(A_RUN) < pools.least(A_RUN)


def test_on_a_cpu_timing_is_no_more_than_a_twentieth_of_what_it_is_for() -> None:
    pools = Pools("cpu")
    least = pools.least(A_RUN)
    assert 2 < least < MOST
    assert 20 * (100 + 12 * least) <= least * A_RUN.steps
    assert 20 * (100 + 12 * (least - 1)) > (least - 1) * A_RUN.steps
    short = A_RUN.replace(scale=Scale(32, 2, 20_000))
    assert pools.least(short) > pools.most(short)
    assert pools.least(A_RUN.replace(scale=Scale(32, 2, 10_000_000))) == 2
