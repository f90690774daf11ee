"""Tune any Python function: search on one set of seeds, report on another."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

from scipy import stats

from windtunnel.errors import WindtunnelError
from windtunnel.search.drive import Driver
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policies import make_policy
from windtunnel.search.policies.halving import better
from windtunnel.search.policy import Policy, Stop
from windtunnel.search.space import Space, parse_space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial, Value

# Called with the values by name, and `fidelity` where there is one, and `seed`.
TunedFunction: TypeAlias = Callable[..., float]
TEST_SEED = 1_000_000_007  # test seeds begin here, far from what anyone tunes with


@runtime_checkable
class Recommends(Protocol):
    """A policy whose best values are none of those it tried: `ladder` names the target's."""

    def recommended(self, table: Table[Trial]) -> Trial:
        """The trial to do, at the target."""
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
        options: The policy's own, such as `trials=32` or `least=1, most=81`.

    Raises:
        WindtunnelError: The space, the policy or its options are wrong, or every trial diverged.
    """
    if test_seeds < 1:
        raise WindtunnelError(f"tune: {test_seeds} test seeds; the result needs at least one")
    searched = space if isinstance(space, Space) else parse_space(space)
    chosen = make_policy(policy, searched, **options) if isinstance(policy, str) else policy
    if isinstance(policy, str) is False and options:
        raise WindtunnelError(
            f"tune: '{min(options)}' belongs to the policy, which is made already"
        )
    rows, reason = _searched(objective, chosen, seed)
    finished = [row for row in rows if row.loss is not None]
    if not finished:
        raise WindtunnelError(
            f"tune: all {len(rows)} trials diverged; make the ranges smaller, or see the objective"
        )
    if isinstance(chosen, Recommends):
        best, tuning_loss = chosen.recommended(rows), None
    else:
        longest = max((row.run.fidelity or 0.0) for row in finished)
        least = better([row for row in finished if (row.run.fidelity or 0.0) == longest])[0]
        best, tuning_loss = least.run, least.loss
    tests = tuple(
        _loss(objective, replace(best, seed=TEST_SEED + number, continues=None))
        for number in range(test_seeds)
    )
    mean, ci90 = _mean(tests)
    return Tuned(best.values, best.fidelity, tuning_loss, tests, mean, ci90, tuple(rows), reason)


def _searched(
    objective: TunedFunction, policy: Policy[Trial], seed: int
) -> tuple[list[Row[Trial]], str]:
    ledger: MemoryLedger[Trial] = MemoryLedger()
    driver = Driver(ledger, policy, lag=1, seed=seed)
    done = 0
    while True:
        stop = driver.advance()
        if done == len(ledger.rows):
            assert isinstance(stop, Stop), "every result is known, so the policy stops"
            return ledger.rows, stop.reason
        loss = _loss(objective, ledger.rows[done].run)
        ledger.finish(done, loss if math.isfinite(loss) else None)
        done += 1


def _loss(objective: TunedFunction, trial: Trial) -> float:
    length = {} if trial.fidelity is None else {"fidelity": trial.fidelity}
    try:
        return float(objective(**trial.values, **length, seed=trial.seed))
    except ArithmeticError:
        return math.inf


def _mean(losses: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    mean = statistics.fmean(losses)
    if len(losses) < 2 or not math.isfinite(mean):
        return mean, None
    error = statistics.stdev(losses) / math.sqrt(len(losses))
    half = float(stats.t.ppf(0.95, len(losses) - 1)) * error
    return mean, (mean - half, mean + half)
