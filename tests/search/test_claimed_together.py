from __future__ import annotations

import threading
from pathlib import Path

import pytest

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.claimed_together import claim_alike, renew_all, report_all, requeue_all
from windtunnel.search.store import Claim, Store, study_database

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
def store(tmp_path: Path, clock: Clock) -> Store[Run]:
    return Store(study_database(tmp_path), "study", Run.from_json, clock=clock)


def filled(store: Store[Run], count: int) -> Store[Run]:
    for number in range(count):
        store.create(number, A_RUN.replace(init_seed=number), "tune")
    return store


def group(
    store: Store[Run], worker: str = "w", *, least: int = 2, most: int = 64, workers: int = 1
) -> list[Claim[Run]]:
    first = store.claim(worker, lease_seconds=30)
    assert first is not None

    def alike(run: Run) -> bool:
        return run.scale == first.run.scale

    more = claim_alike(store, first, alike, least=least, most=most, workers=workers)
    return [first, *more]


def numbers(claims: list[Claim[Run]]) -> list[int]:
    return [claim.number for claim in claims]


def test_only_runs_that_wait_and_are_alike_and_never_failed_are_taken(store: Store[Run]) -> None:
    filled(store, 3)
    failed = store.claim("other")
    assert failed is not None
    store.fail(failed, "boom")  # run 0 waits again
    running = store.claim("other")
    assert running is not None and running.number == 0
    store.requeue(running)
    store.create(3, A_RUN.replace(scale=Scale(64, 2, 1000), init_seed=3), "tune")
    store.create(4, A_RUN.replace(init_seed=4), "tune")
    held = [store.claim("other"), store.claim("other")]
    assert [claim.number for claim in held if claim] == [0, 1]
    assert numbers(group(store)) == [2, 4]
    assert held[0] is not None
    store.requeue(held[0])
    store.create(5, A_RUN.replace(scale=Scale(64, 2, 1000), init_seed=5), "tune")
    assert numbers(group(store)) == [0]
    assert numbers(group(store)) == [3, 5]


def test_a_failed_run_is_not_taken_along(store: Store[Run]) -> None:
    filled(store, 3)
    first, second = store.claim("w"), store.claim("w")
    assert first is not None and second is not None
    store.fail(second, "boom")
    assert numbers(claim_alike(store, first, lambda run: True, least=2, most=9, workers=1)) == [2]


def test_two_runs_of_one_key_are_never_held_at_once(store: Store[Run]) -> None:
    for number in range(4):
        store.create(number, A_RUN.replace(init_seed=number // 2), "tune")
    assert numbers(group(store)) == [0, 2]
    assert store.claim("w") is None, "the twins wait"


@pytest.mark.parametrize(
    ("count", "workers", "taken"), [(8, 1, 6), (8, 2, 4), (7, 2, 4), (2, 2, 1), (9, 4, 3)]
)
def test_each_worker_leaves_the_others_their_share(
    store: Store[Run], count: int, workers: int, taken: int
) -> None:
    filled(store, count)
    assert numbers(group(store, most=6, workers=workers)) == list(range(taken))


def test_too_few_are_not_taken_at_all(store: Store[Run]) -> None:
    filled(store, 3)
    assert numbers(group(store, least=4)) == [0]
    assert numbers(group(store, least=2)) == [1, 2]


def test_claims_of_workers_at_once_are_disjoint(tmp_path: Path) -> None:
    url = study_database(tmp_path)
    filled(Store(url, "study", Run.from_json), 60)
    together = threading.Barrier(4)
    taken: list[int] = []

    def work(worker: str) -> None:
        store: Store[Run] = Store(url, "study", Run.from_json)
        together.wait()
        while (first := store.claim(worker)) is not None:
            more = claim_alike(store, first, lambda run: True, least=2, most=8, workers=4)
            taken.extend(numbers([first, *more]))

    workers = [threading.Thread(target=work, args=(f"w{index}",)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(taken) == list(range(60))


def test_progress_extends_all_leases_and_tells_which_are_lost(
    store: Store[Run], clock: Clock
) -> None:
    claims = group(filled(store, 3))
    clock.now += 20
    assert report_all(store, claims, 5, 10, {claims[0].run.key: 2.5}) == []
    assert [(p.step, p.steps, p.loss) for p in store.progress()] == [
        (5, 10, 2.5),
        (5, 10, None),
        (5, 10, None),
    ]
    clock.now += 20
    assert store.claim("other") is None
    assert report_all(store, claims, 5, 10, {}) == []  # no step further
    clock.now += 11
    stolen = store.claim("other")
    assert stolen is not None and stolen.number == 0
    assert report_all(store, claims, 6, 10, {}) == claims[:1]
    assert renew_all(store, claims) == claims[:1]
    requeue_all(store, claims)
    assert [row.state for row in store.list()] == ["running", "waiting", "waiting"]
