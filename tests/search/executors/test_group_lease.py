from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.claimed_together import claim_alike
from windtunnel.search.executors.group_lease import GroupGuard
from windtunnel.search.store import LeaseLost, Store, study_database

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
RUNS = [A_RUN.replace(init_seed=seed) for seed in range(3)]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store[Run]:
    store: Store[Run] = Store(study_database(tmp_path), "study", Run.from_json, clock=clock)
    for number, run in enumerate(RUNS):
        store.create(number, run, "tune")
    return store


@pytest.fixture
def guard(store: Store[Run], clock: Clock) -> GroupGuard:
    asked_at = clock()
    first = store.claim("old", lease_seconds=30)
    assert first is not None
    more = claim_alike(store, first, lambda run: True, least=2, most=9, workers=1)
    return GroupGuard(store, [first, *more], asked_at, lambda: False, clock)


def test_runs_that_make_progress_keep_their_leases(
    guard: GroupGuard, store: Store[Run], clock: Clock
) -> None:
    for step in range(1, 100):
        clock.now += 2
        # One that diverged and was taken out has no loss any more; it is held to the end.
        guard.on_progress(step, 100, {RUNS[0].key: 2.0, RUNS[1].key: float("nan")})
        assert guard.should_stop() is False
        assert store.claim("new") is None
    assert [(p.step, p.loss) for p in store.progress()] == [(99, 2.0), (99, None), (99, None)]


def test_one_lost_lease_leaves_the_others(
    guard: GroupGuard, store: Store[Run], clock: Clock
) -> None:
    clock.now += 31
    assert guard.expired
    assert store.claim("new", lease_seconds=30) is not None
    assert guard.should_stop() is False
    assert [guard.holds(run) for run in RUNS] == [False, True, True]
    assert [claim.number for claim in guard.held] == [1, 2]
    assert not guard.expired
    assert store.claim("new") is None, "the others' leases were renewed"


def test_when_all_are_lost_it_raises_before_anything_is_written(
    guard: GroupGuard, store: Store[Run], clock: Clock
) -> None:
    clock.now += 31
    while store.claim("new") is not None:
        pass
    with pytest.raises(LeaseLost):
        guard.on_progress(3, 10, {})
    assert not any(guard.holds(run) for run in RUNS)
