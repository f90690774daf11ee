"""A space, and a made-up objective whose best values and learning curves are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policy import Budget, Policy, Stop
from windtunnel.search.space import Choice, Float, Space
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial

SPACE = Space(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "decay": Float(0.0, 1.0),
        "kind": Choice(("a", "b")),
        "extra": Float(0.0, 1.0, when={"kind": ("b",)}),
    }
)


def true_loss(trial: Trial) -> float | None:
    """Least at lr .01, decay .3, kind b, extra .8; diverges above lr .1; falls with fidelity."""
    values = trial.values
    if float(values["lr"]) > 0.1:
        return None
    loss = 1.0 + 0.2 * math.log10(float(values["lr"]) / 0.01) ** 2
    loss += (float(values["decay"]) - 0.3) ** 2
    loss += 0.3 if values["kind"] == "a" else 0.5 * (float(values["extra"]) - 0.8) ** 2
    return loss + 1.0 / (trial.fidelity or 1e9)


def played(
    policy: Policy[Trial],
    loss: Callable[[Trial], float | None] = true_loss,
    *,
    seed: int = 0,
    most: int = 5000,
) -> tuple[list[Row[Trial]], str]:
    """Every decision's result known at once, one by one."""
    ledger: MemoryLedger[Trial] = MemoryLedger()
    while len(ledger.rows) < most:
        answer = policy.next(ledger.rows, Budget(), seed)
        if isinstance(answer, Stop):
            return ledger.rows, answer.reason
        assert answer, "it waits although every result is known"
        for decision in answer:
            ledger.create(len(ledger.rows), decision.run, decision.purpose)
            ledger.finish(len(ledger.rows) - 1, loss(decision.run))
    raise AssertionError(f"no end after {most} trials")


def random_loss(trial: Trial) -> float:
    """Losses that say nothing: a function of the key alone."""
    return float(np.random.default_rng(int(trial.key[:12], 16)).random())


def units(rows: Sequence[Row[Trial]], *, resume: bool = False) -> float:
    """Units of training that the trials took."""
    paid = 0.0
    for row in rows:
        fidelity = row.run.fidelity or 0.0
        before = 0.0
        if resume and row.run.continues is not None:
            before = rows[row.run.continues].run.fidelity or 0.0
        paid += fidelity - before
    return paid


@pytest.fixture
def space() -> Space:
    """Four parameters, one of them conditional."""
    return SPACE


@pytest.fixture
def objective() -> Callable[[Trial], float | None]:
    """The made-up objective."""
    return true_loss


@pytest.fixture
def play() -> Callable[..., tuple[list[Row[Trial]], str]]:
    """Plays a policy to its end."""
    return played


@pytest.fixture
def paid() -> Callable[..., float]:
    """Counts units of training."""
    return units


@pytest.fixture
def noise() -> Callable[[Trial], float]:
    """Losses that say nothing."""
    return random_loss
