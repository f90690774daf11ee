"""Tune any Python function: search on one set of seeds, report on another."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from scipy import stats

from windtunnel.errors import WindtunnelError
from windtunnel.search.drive import Driver
from windtunnel.search.evaluate import TunedFunction, executor_of, loss_of, loss_of_history
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policies import make_policy
from windtunnel.search.policies.halving import best_row
from windtunnel.search.policy import Budget, Policy, Stop
from windtunnel.search.space import Space, parse_space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial, Value

TEST_SEED = 1_000_000_007  # test seeds begin here, far from what anyone tunes with


@runtime_checkable
class Recommends(Protocol):
    """A policy whose best values are none of those it tried: `ladder` names the target's."""

    def recommended(self, table: Table[Trial]) -> Trial:
        """The trial to do, at the target."""
        ...


@runtime_checkable
class NeedsStates(Protocol):
    """A policy that is meaningless unless trials go on from each other's states: `pbt`."""

    @property
    def needs_states(self) -> bool:
        """True."""
        ...


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found.

    Attributes:
        values: The best values, by name.
        fidelity: At which they were the best: the greatest that was tried.
        tuning_loss: Their loss on the tuning seed; it is the least of many, so it flatters them.
            None where the policy recommends values for a target it never ran.
        test_losses: Their losses on the test seeds, which the search never saw.
        test_loss: Mean of these.
        ci90: 90 % range of the mean (Student's t); None for one test seed.
        trials: Every trial with its result, in the order of the decisions.
        reason: Why the search ended.
    """

    values: Mapping[str, Value]
    fidelity: float | None
    tuning_loss: float | None
    test_losses: tuple[float, ...]
    test_loss: float
    ci90: tuple[float, float] | None
    trials: tuple[Row[Trial], ...]
    reason: str


def tune(
    objective: TunedFunction,
    space: Space | Mapping[str, Any],
    policy: str | Policy[Trial] = "sobol",
    *,
    seed: int = 0,
    test_seeds: int = 3,
    workers: int = 1,
    executor: Executor | None = None,
    parallelism: int = 1,
    seconds: float | None = None,
    states: Path | None = None,
    **options: Any,
) -> Tuned:
    """Search for the values with the least loss.

    Args:
        objective: Returns a loss, for the space's parameters as keyword arguments and `seed`; also
            `fidelity` where the policy sets one. A loss that is no finite number, or an
            ArithmeticError, counts as divergence; other errors are yours and end the search.
        space: A `Space`, or as `parse_space` reads it.
        policy: A name of `windtunnel.search.policies.POLICIES` with its `options`, or a policy.
        seed: Tuning seed: of the policy's draws, and handed to the objective.
        test_seeds: On how many other seeds the best values are tried again.
        workers: Processes that carry trials out. More of them change the time it takes, never the
            result; the objective then has to be a function that another process can import.
        executor: Where trials are carried out in place of own processes, `workers` of them at a
            time: `windtunnel.search.executors.ray_pool.RayPool()`, or one of your own.
        parallelism: How many trials a policy that decides one by one may have open at once; the
            more, the less it knows when it decides, so this does change the result.
        seconds: Decide on nothing new after so many.
        states: A new folder where trials keep what they go on from. The objective is then also
            called with `state`, a folder of its own to write to, and `continues`, the folder of the
            trial that it goes on from, or None; the fidelity counts that trial's part too. Without
            it a promoted trial is called anew.
        options: The policy's own, such as `trials=32` or `least=1, most=81`.

    Raises:
        WindtunnelError: The space, the policy or its options are wrong, every trial diverged, or
            the objective can't be sent to other processes.
    """
    for name, count in (
        ("test_seeds", test_seeds),
        ("workers", workers),
        ("parallelism", parallelism),
    ):
        if count < 1:
            raise WindtunnelError(f"tune: {name} is {count} and has to be 1 at least")
    searched = space if isinstance(space, Space) else parse_space(space)
    chosen = make_policy(policy, searched, **options) if isinstance(policy, str) else policy
    if options and not isinstance(policy, str):
        raise WindtunnelError(
            f"tune: '{min(options)}' belongs to the policy, which is made already"
        )
    if states is None and isinstance(chosen, NeedsStates):
        raise WindtunnelError(
            "tune: this policy lets trials go on from each other; give it `states`, a folder where "
            "your function keeps what it goes on from"
        )
    if states is not None and states.exists() and any(states.iterdir()):
        raise WindtunnelError(f"tune: {states} isn't empty; name a new folder for the states")
    with executor or executor_of(objective, workers) as pool:
        driver = Driver(MemoryLedger[Trial](), chosen, lag=parallelism, seed=seed)
        rows, reason = _searched(objective, driver, pool, workers, seconds, states)
        best, tuning_loss = _best(chosen, rows)
        seeds = range(TEST_SEED, TEST_SEED + test_seeds)
        tests = tuple(
            pool.map(
                loss_of_history,
                [objective] * test_seeds,
                [[replace(trial, seed=own) for trial in _history(rows, best)] for own in seeds],
                [None if states is None else states / f"test-{own}" for own in seeds],
            )
        )
    mean, ci90 = _mean(tests)
    return Tuned(best.values, best.fidelity, tuning_loss, tests, mean, ci90, tuple(rows), reason)


def _searched(
    objective: TunedFunction,
    driver: Driver[Trial],
    executor: Executor,
    workers: int,
    seconds: float | None,
    states: Path | None,
) -> tuple[list[Row[Trial]], str]:
    ledger = driver.store
    assert isinstance(ledger, MemoryLedger), "tune() made it"
    running: dict[Future[float], int] = {}
    begun, since = 0, time.monotonic()
    while True:
        stop = driver.advance(Budget(seconds=seconds, seconds_used=time.monotonic() - since))
        while begun < len(ledger.rows) and len(running) < workers:
            trial = ledger.rows[begun].run
            running[executor.submit(loss_of, objective, trial, states, begun)] = begun
            begun += 1
        if not running:
            assert isinstance(stop, Stop), "every result is known, so the policy stops"
            return ledger.rows, stop.reason
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            loss = future.result()
            ledger.finish(running.pop(future), loss if math.isfinite(loss) else None)


def _history(rows: Sequence[Row[Trial]], trial: Trial) -> list[Trial]:
    """The trials that this one goes on from, the first of them first, and itself."""
    history = [trial]
    while history[0].continues is not None:
        history.insert(0, rows[history[0].continues].run)
    return history


def _best(policy: Policy[Trial], rows: list[Row[Trial]]) -> tuple[Trial, float | None]:
    """The trial to do again on other seeds, and its tuning loss."""
    finished = [row for row in rows if row.loss is not None]
    if not finished:
        raise WindtunnelError(
            f"tune: all {len(rows)} trials diverged; make the ranges smaller, or see the objective"
        )
    if isinstance(policy, Recommends):
        return policy.recommended(rows), None
    least = best_row(finished)
    return least.run, least.loss


def _mean(losses: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    mean = statistics.fmean(losses)
    if len(losses) < 2 or not math.isfinite(mean):
        return mean, None
    error = statistics.stdev(losses) / math.sqrt(len(losses))
    half = float(stats.t.ppf(0.95, len(losses) - 1)) * error
    return mean, (mean - half, mean + half)
