from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.search.conformance import assert_policy_conforms
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policies.ladder import LadderPolicy
from windtunnel.search.policy import Budget, Stop
from windtunnel.search.space import Choice, Float, Space
from windtunnel.search.trial import Trial
from windtunnel.search.tune import tune

SPACE = Space({"lr": Float(2**-12, 2**-2, log=True), "weight_decay": Float(2**-8, 2**2, log=True)})
SCALES = [{"width": w, "tokens": t} for w in (32.0, 64.0, 128.0) for t in (1e6, 4e6)]
TARGET = {"width": 512.0, "tokens": 1.6e7}


def loss_with(drift: float, noise: float = 0.002) -> Callable[[Trial], float | None]:
    """Best lr 2^-6.5 at the first scale, moving by `drift` octaves for each octave of width."""

    def loss(trial: Trial) -> float | None:
        values = {name: float(value) for name, value in trial.values.items()}
        octaves = math.log2(values["width"] / 32)
        rate = math.log2(values["lr"]) + 6.5 - drift * octaves
        if rate > 4:
            return None
        decay = math.log2(values["weight_decay"]) + 3
        luck = float(np.random.default_rng(trial.seed).standard_normal())
        level = 2 + 10 / values["width"] ** 0.5 + 100 / values["tokens"] ** 0.5
        return level * math.exp(0.004 * rate**2 + 0.002 * decay**2 + noise * luck)

    return loss


def policy(**options) -> LadderPolicy:
    return LadderPolicy(SPACE, scales=SCALES, target=TARGET, **({"runs": 120} | options))


def rate_of(values: Mapping[str, float]) -> float:
    return math.log2(values["lr"])


def test_it_keeps_every_promise_of_a_policy() -> None:
    rows = assert_policy_conforms(
        lambda: policy(accepted=0.004, runs=25), loss_with(0.0), lags=(1, 3), orders=2
    )
    assert {row.run.values["width"] for row in rows} <= {32.0, 64.0, 128.0}


@pytest.mark.parametrize("drift", [0.0, -0.3])
def test_the_targets_recipe_comes_from_small_runs(play: Callable, drift: float) -> None:
    own = policy(accepted=0.0035)
    rows, reason = play(own, loss_with(drift))
    found = own.outcome(rows)
    best = -6.5 + drift * 4
    assert found.settled and not found.directly
    assert reason.startswith("at the target take lr ") and "within 0.35 %" in reason
    assert rate_of(found.values) == pytest.approx(best, abs=1.0)
    low, high = (math.log2(end) for end in found.ci90["lr"])
    assert low < best < high
    cost = sum(float(r.run.values["width"]) ** 2 * float(r.run.values["tokens"]) for r in rows)
    assert cost < TARGET["width"] ** 2 * TARGET["tokens"]


def test_ranges_hold_the_truth() -> None:
    inside, regrets = [], []
    for seed in range(12):
        drift = float(np.clip(0.25 * np.random.default_rng(seed).standard_normal(), -0.5, 0.5))
        own, truth = policy(accepted=0.003), loss_with(drift)
        ledger: MemoryLedger[Trial] = MemoryLedger()
        while isinstance(answer := own.next(ledger.rows, Budget(), 100 * seed), list):
            for decision in answer:
                ledger.create(len(ledger.rows), decision.run, "")
                ledger.finish(len(ledger.rows) - 1, truth(decision.run))
        found = own.outcome(ledger.rows)
        best = -6.5 + 4 * drift
        low, high = (math.log2(end) for end in found.ci90["lr"])
        inside.append(low < best < high)
        regrets.append(0.004 * (rate_of(found.values) - best) ** 2)
    assert sum(inside) >= 9
    assert np.mean(regrets) < 0.004


def test_where_the_prior_is_a_law_that_is_right_fewer_runs_are_needed(play: Callable) -> None:
    def law(scale: Mapping[str, float]) -> dict[str, float]:
        return {
            "lr": 2 ** (-6.5 - 0.5 * math.log2(scale["width"] / 32)),
            "weight_decay": 2.0**-3,
        }

    from windtunnel.search.surrogate.beliefs import AxisBelief

    sure = [AxisBelief("lr", drift=0.05), AxisBelief("weight_decay", drift=0.05)]
    knows = policy(prior=law, beliefs=sure, accepted=0.003)
    rows, _ = play(knows, loss_with(-0.5))
    blind, _ = play(policy(accepted=0.003), loss_with(-0.5))
    assert len(rows) < 0.7 * len(blind)
    assert rate_of(knows.outcome(rows).values) == pytest.approx(-8.5, abs=0.7)


def test_what_cannot_be_settled_is_to_be_tuned_directly(play: Callable) -> None:
    """One scale says nothing of drift."""
    own = LadderPolicy(SPACE, scales=SCALES[:1], target=TARGET, accepted=1e-4, runs=200)
    rows, reason = play(own, loss_with(0.0))
    assert len(rows) < 200
    assert reason.startswith("no run at these scales says more; at the target take lr ")
    assert "; tune " in reason and "lr" in reason and reason.endswith("directly")
    found = own.outcome(rows)
    assert not found.settled and set(found.directly) == {"lr", "weight_decay"}


def test_a_budget_that_is_nearly_spent_leaves_the_cheaper_scales() -> None:
    cost = 32.0**2 * 1e6
    answer = policy().next([], Budget(flops=1.5 * cost), 0)
    assert isinstance(answer, list)
    assert (answer[0].run.values["width"], answer[0].run.values["tokens"]) == (32.0, 1e6)
    stop = policy().next([], Budget(flops=0.5 * cost), 0)
    assert isinstance(stop, Stop) and stop.reason.startswith("no run fits into the budget")


def test_what_is_remembered_changes_nothing(play: Callable) -> None:
    own = policy(accepted=0.001, runs=30)
    rows, _ = play(own, loss_with(-0.2))
    for count in (0, 7, 19, 12):
        assert own.next(rows[:count], Budget(), 0) == policy(accepted=0.001, runs=30).next(
            rows[:count], Budget(), 0
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scales": []}, "there is no scale to search at"),
        ({"scales": [{"width": 32.0}]}, "a scale has width and the target width, tokens"),
        ({"scales": [{"width": -1.0, "tokens": 1.0}]}, "width -1.0 is not a positive number"),
        ({"target": {"lr": 1.0, "width": 64.0}}, "lr is searched and an axis of scale"),
        ({"cost": lambda scale: 0.0}, "the cost of every scale has to be a positive number"),
    ],
)
def test_scales_that_make_no_ladder_are_refused(change: dict, words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        LadderPolicy(SPACE, **({"scales": SCALES, "target": TARGET} | change))


@pytest.mark.parametrize("parameter", [Float(0.0, 1.0), Choice(("a", "b"))])
def test_only_logarithmic_parameters(parameter: Float | Choice) -> None:
    with pytest.raises(WindtunnelError, match="dropout is no number on a log scale"):
        LadderPolicy(Space({"dropout": parameter}), scales=SCALES, target=TARGET)


def test_tuned_small_it_is_tried_large() -> None:
    """Through `tune`: the recommended recipe at the target, on seeds the search never saw."""
    truth = loss_with(-0.2)

    def objective(seed: int, **values: float) -> float:
        loss = truth(Trial.of(values, seed=seed))
        return math.inf if loss is None else loss

    found = tune(objective, SPACE, policy(accepted=0.003), test_seeds=4)
    assert {name: found.values[name] for name in TARGET} == TARGET
    assert all(row.run.values["width"] <= 128 for row in found.trials)
    assert found.tuning_loss is None
    best = objective(seed=1, **{**found.values, "lr": 2**-7.3, "weight_decay": 2.0**-3})
    assert found.test_loss == pytest.approx(best, rel=0.01)
