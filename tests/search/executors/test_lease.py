from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.executors.lease import LeaseGuard
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


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    store = Store(study_database(tmp_path), "study", Run.from_json, clock=clock)
    store.create(0, A_RUN, "tune")
    return store


def guarded(store: Store, clock: Clock, stop: bool = False) -> LeaseGuard:
    asked_at = clock()
    claim = store.claim("old", lease_seconds=30)
    assert claim is not None
    return LeaseGuard(store, claim, asked_at, lambda: stop, clock)


def test_a_run_that_makes_progress_keeps_its_lease(store: Store, clock: Clock) -> None:
    guard = guarded(store, clock)
    for step in range(1, 100):
        clock.now += 2
        guard.on_progress(step, 100, 2.0)
        assert guard.should_stop() is False
        assert store.claim("new") is None
    assert store.progress()[0].step == 99


def test_it_reports_once_a_second_and_not_at_every_step(store: Store, clock: Clock) -> None:
    guard = guarded(store, clock)
    for step in range(1, 100):
        clock.now += 1 / 32
        guard.on_progress(step, 100, 2.0)
    assert store.progress()[0].step == 96


def test_woken_past_its_lease_it_raises_before_anything_is_written(
    store: Store, clock: Clock
) -> None:
    for call in (
        lambda guard: guard.should_stop(),
        lambda guard: guard.on_progress(1, 10, 2.0),
    ):
        guard = guarded(store, clock, stop=True)
        assert not guard.expired
        clock.now += 31
        assert guard.expired
        new = store.claim("new", lease_seconds=0)
        assert new is not None
        with pytest.raises(LeaseLost):
            call(guard)
        clock.now += 1


def test_one_long_step_does_not_cost_the_run_if_nobody_took_it(store: Store, clock: Clock) -> None:
    guard = guarded(store, clock)
    clock.now += 100
    assert guard.should_stop() is False
    assert not guard.expired and store.claim("new") is None


def test_a_loss_that_is_no_number_is_reported_as_none(store: Store, clock: Clock) -> None:
    guard = guarded(store, clock)
    clock.now += 2
    guard.on_progress(1, 10, float("nan"))
    assert store.progress()[0].loss is None
