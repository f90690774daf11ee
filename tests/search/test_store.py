from __future__ import annotations

import multiprocessing
import secrets
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.store import LeaseLost, Store, study_database
from windtunnel.search.trial import Trial

FINISHED = {"status": "finished", "loss": 1.5, "loss_se": 0.01}


def a_run(lr: float = 0.01) -> Run:
    return Run(
        family="gpt",
        family_options=(("head", "untied"),),
        optimizer="adamw",
        rule="mup",
        base=Scale(32, 2, 1000),
        scale=Scale(64, 2, 1000, (("heads", 4),)),
        recipe=Recipe(lr=lr, batch_units=100),
        data=DataIdentity("abc", 128, 64),
    )


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database: SQLite's file, or a PostgreSQL server's."""
    if request.param == "sqlite":
        return study_database(tmp_path)
    server: Any = request.getfixturevalue("postgres")
    return str(server.url)


@pytest.fixture
def name() -> str:
    """A study's name that no other test has."""
    return f"study {secrets.token_hex(4)}"


@pytest.fixture
def store(url: str, name: str, clock: Clock) -> Iterator[Store]:
    opened = Store(url, name, Run.from_json, clock=clock)
    yield opened
    opened.close()


def test_a_created_run_comes_back_as_it_was(store: Store) -> None:
    assert store.create(0, a_run(), "tune") is True
    (row,) = store.list()
    assert (row.number, row.run, row.purpose, row.state) == (0, a_run(), "tune", "waiting")


def test_creating_a_decision_twice_is_a_no_op_but_another_run_is_an_error(store: Store) -> None:
    store.create(0, a_run(0.01), "tune")
    assert store.create(0, a_run(0.01), "tune") is False
    with pytest.raises(WindtunnelError, match="decision 0 is already another run"):
        store.create(0, a_run(0.02), "tune")


def test_two_studies_share_a_database_without_seeing_each_other(url: str, name: str) -> None:
    one, two = (Store(url, f"{name} {which}", Run.from_json) for which in ("one", "two"))
    one.create(0, a_run(), "tune")
    assert two.list() == ()
    assert two.claim("w") is None
    one.close()
    two.close()


def test_claims_go_by_number_and_a_result_ends_the_run(store: Store) -> None:
    store.create(7, a_run(0.2), "later")
    store.create(3, a_run(0.1), "first")
    claim = store.claim("w")
    assert claim is not None and claim.number == 3 and claim.run == a_run(0.1)
    store.finish(claim, FINISHED)
    assert [(row.number, row.state, row.loss) for row in store.list()] == [
        (3, "finished", 1.5),
        (7, "waiting", None),
    ]
    assert store.results() == {3: FINISHED}
    second = store.claim("w")
    assert second is not None and second.number == 7
    assert store.claim("w") is None


def test_finishing_twice_changes_nothing(store: Store) -> None:
    store.create(0, a_run(), "tune")
    claim = store.claim("w")
    assert claim is not None
    store.finish(claim, FINISHED)
    before = store.list()
    store.finish(claim, FINISHED)
    assert store.list() == before


def test_an_expired_lease_is_claimed_again_and_its_old_holder_refused(
    store: Store, clock: Clock
) -> None:
    store.create(0, a_run(), "tune")
    old = store.claim("old", lease_seconds=30)
    assert old is not None
    clock.now += 29
    assert store.claim("new") is None
    clock.now += 2
    new = store.claim("new")
    assert new is not None and new.number == 0 and new.fence == old.fence + 1
    for refused in (
        lambda: store.report(old, 5, 10, 2.0),
        lambda: store.renew(old),
        lambda: store.finish(old, FINISHED),
        lambda: store.fail(old, "boom"),
        lambda: store.requeue(old),
    ):
        with pytest.raises(LeaseLost):
            refused()
    assert [p.worker for p in store.progress()] == ["new"]
    store.finish(new, FINISHED)
    with pytest.raises(LeaseLost):
        store.finish(old, FINISHED)


def test_only_progress_extends_a_lease(store: Store, clock: Clock) -> None:
    store.create(0, a_run(), "tune")
    claim = store.claim("w", lease_seconds=30)
    assert claim is not None
    for step in (1, 2):
        clock.now += 20
        store.report(claim, step, 10, 2.0)
    clock.now += 20
    store.report(claim, 2, 10, 2.0)  # alive, but no step further
    clock.now += 11
    assert store.claim("other") is not None


def test_progress_tells_step_loss_and_worker(store: Store) -> None:
    store.create(0, a_run(), "tune")
    claim = store.claim("w")
    assert claim is not None
    store.report(claim, 4, 10, 2.5)
    (progress,) = store.progress()
    assert (progress.number, progress.step, progress.steps) == (0, 4, 10)
    assert (progress.loss, progress.worker) == (2.5, "w")


def test_a_run_given_back_waits_and_may_be_claimed(store: Store) -> None:
    store.create(0, a_run(), "tune")
    claim = store.claim("w")
    assert claim is not None
    store.requeue(claim)
    assert store.list()[0].state == "waiting"
    again = store.claim("w")
    assert again is not None and again.fence > claim.fence


def test_a_dead_workers_run_is_released_and_the_dead_refused(store: Store) -> None:
    store.create(0, a_run(0.1), "tune")
    store.create(1, a_run(0.2), "tune")
    dead, alive = store.claim("dead"), store.claim("alive")
    assert dead is not None and alive is not None
    assert store.release("dead") == [0]
    with pytest.raises(LeaseLost):
        store.report(dead, 5, 10, 2.0)
    store.report(alive, 5, 10, 2.0)


def test_the_third_error_fails_a_run_until_a_person_tries_again(store: Store) -> None:
    store.create(0, a_run(), "tune")
    for attempt in range(3):
        assert store.list()[0].state == "waiting", attempt
        claim = store.claim("w")
        assert claim is not None
        store.fail(claim, "out of memory")
    (row,) = store.list()
    assert (row.state, row.error) == ("failed", "out of memory")
    assert store.claim("w") is None
    assert not store.retry_failed(range(1, 10)), "another step's"
    assert store.retry_failed(range(10))
    assert store.claim("w") is not None


def test_failures_at_the_end_are_taken_back_with_what_was_decided_after_them(
    store: Store,
) -> None:
    for number in range(6):
        store.create(number, a_run(0.1 * (number + 1)), "tune")
        if number != 5:
            claim = store.claim("w")
            assert claim is not None
            if number in (0, 2):
                store.finish(claim, FINISHED)
            else:
                store.fail(claim, "the disk is full", hopeless=True)
    store.create(100, a_run(0.9), "law")
    assert store.rewind_failed(range(100))
    found = [(row.number, row.state) for row in store.list()]
    assert found == [
        (0, "finished"),
        (1, "failed"),  # later runs were decided on by it
        (2, "finished"),
        (3, "waiting"),
        (100, "waiting"),
    ]
    assert not store.rewind_failed(range(100))


def test_a_run_that_killed_its_worker_for_good_fails(store: Store) -> None:
    store.create(0, a_run(), "tune")
    assert store.claim("dead") is not None
    assert store.release("dead", "killed by SIGSEGV 3 times") == [0]
    assert (store.list()[0].state, store.list()[0].error) == ("failed", "killed by SIGSEGV 3 times")


def test_a_hopeless_error_fails_at_once(store: Store) -> None:
    store.create(0, a_run(), "tune")
    claim = store.claim("w")
    assert claim is not None
    store.fail(claim, "data changed", hopeless=True)
    assert store.list()[0].state == "failed"


def test_twins_are_never_trained_at_the_same_time(store: Store) -> None:
    store.create(0, a_run(), "tune")
    store.create(1, a_run(), "law")
    first = store.claim("a")
    assert first is not None and first.number == 0
    assert store.claim("b") is None
    store.finish(first, FINISHED)
    second = store.claim("b")
    assert second is not None and second.number == 1


def _claim_everything(
    url: str, name: str, worker: str, together: Barrier, results: multiprocessing.Queue[list[int]]
) -> None:
    store, numbers = Store(url, name, Run.from_json), []
    together.wait()
    while (claim := store.claim(worker)) is not None:
        numbers.append(claim.number)
    results.put(numbers)


def test_four_processes_claim_each_of_200_runs_once(url: str, name: str) -> None:
    store = Store(url, name, Run.from_json)
    for number in range(200):
        store.create(number, a_run(lr=1 + number), "tune")
    store.close()
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(4), context.Queue()
    workers = [
        context.Process(target=_claim_everything, args=(url, name, f"w{i}", together, results))
        for i in range(4)
    ]
    for worker in workers:
        worker.start()
    claimed = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(number for numbers in claimed for number in numbers) == list(range(200))
    assert all(claimed), "every process took part"


def test_a_damaged_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"this is not a database, not at all " * 100)
    with pytest.raises(WindtunnelError, match="damaged") as caught:
        Store(study_database(tmp_path), "study", Run.from_json)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_disk_is_one_clear_line(store: Store) -> None:
    engine = store._engine
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(WindtunnelError, match="no space left"):
        for number in range(1000):
            store.create(number, a_run(number + 1), "tune")
    assert all(row.state == "waiting" for row in store.list())


def test_a_missing_folder_and_a_wrong_url_are_clear_lines(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match="cannot be opened"):
        Store(study_database(tmp_path / "nowhere"), "study", Run.from_json)
    with pytest.raises(WindtunnelError, match="not a usable database URL"):
        Store("nonsense", "study", Run.from_json)


def test_a_run_finished_elsewhere_is_recorded_once_and_never_claimed(store: Store) -> None:
    assert store.record(900_000, a_run(0.1), "imported", FINISHED) is True
    assert store.record(900_000, a_run(0.1), "imported", FINISHED) is False
    (row,) = store.list()
    assert (row.state, row.loss, row.loss_se) == ("finished", 1.5, 0.01)
    assert store.results() == {900_000: FINISHED}
    assert store.claim("w") is None
    with pytest.raises(WindtunnelError, match="is already another run"):
        store.record(900_000, a_run(0.2), "imported", FINISHED)


def test_trials_of_any_function_are_kept_as_well(tmp_path: Path) -> None:
    store = Store(study_database(tmp_path), "search", Trial.from_json)
    trials = [
        Trial.of({"lr": 0.1, "kind": "a", "deep": True, "layers": 3}, fidelity=9.0, seed=5),
        Trial.of({"lr": 0.1}, continues=0),
    ]
    for number, trial in enumerate(trials):
        assert store.create(number, trial, "test")
    assert [row.run for row in store.list()] == trials
    claim = store.claim("worker")
    assert claim is not None and claim.run == trials[0]
    assert Trial.of({"b": 1, "a": 2}) == Trial.of({"a": 2, "b": 1})
    assert len({trial.key for trial in trials}) == 2


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_of_runs_that_are_the_same_one_is_claimed_at_a_time(url: str, name: str) -> None:
    """Twins train in one folder: many who claim at once never get two of them."""
    store = Store(url, name, Run.from_json)
    for number in range(12):
        store.create(number, a_run(0.5), "tune")
    store.close()
    barrier, claimed = threading.Barrier(6), []

    def claim(worker: str) -> None:
        own = Store(url, name, Run.from_json)
        barrier.wait()
        claimed.append(own.claim(worker))
        own.close()

    threads = [threading.Thread(target=claim, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claimed) == 1


def test_a_server_that_is_restarted_is_waited_for(postgres: Any, name: str) -> None:
    store = Store(postgres.url, name, Run.from_json)
    store.create(0, a_run(), "tune")
    claim = store.claim("w")
    assert claim is not None
    done: list[str] = []

    def work() -> None:
        for step in range(1, 40):
            store.report(claim, step, 40, 2.0)
            time.sleep(0.02)
        store.finish(claim, FINISHED)
        done.append("finished")

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(0.2)
    postgres.stop()
    time.sleep(0.8)
    assert not done
    postgres.start()
    worker.join(30)
    assert done == ["finished"]
    assert store.results() == {0: FINISHED}
    store.close()


def test_no_message_has_the_password(postgres: Any) -> None:
    wrong = postgres.url.replace(postgres.password, "open-sesame")
    with pytest.raises(WindtunnelError, match="password authentication failed") as refused:
        Store(wrong, "study", Run.from_json)
    with pytest.raises(WindtunnelError, match="not a usable database URL") as unknown:
        Store("postgresql+nodriver://me:open-sesame@127.0.0.1/x", "study", Run.from_json)
    assert "open-sesame" not in str(refused.value) + str(unknown.value)


def test_a_run_that_is_given_up_takes_nothing_from_who_held_it(store: Store) -> None:
    store.create(0, a_run(), "tune")
    claim = store.claim("worker")
    assert claim is not None
    store.give_up(0, "no progress")
    with pytest.raises(LeaseLost):
        store.report(claim, 1, 2, 3.0)
    with pytest.raises(LeaseLost):
        store.finish(claim, {"status": "finished", "loss": 1.0, "loss_se": None})
    (row,) = store.list()
    assert (row.state, row.error) == ("failed", "no progress")
    store.give_up(0, "again")  # one that has ended is left as it is
    assert store.list()[0].error == "no progress"
