from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.search.policies.random import RandomPolicy
from windtunnel.search.space import Float, Space
from windtunnel.search.tune import TEST_SEED, tune

SPACE = {"lr": {"low": 1e-4, "high": 1.0, "log": True}, "kind": ["a", "b"]}


def bowl(lr: float, kind: str, seed: int) -> float:
    luck = 0.05 * float(np.random.default_rng(seed).standard_normal())
    return math.log10(lr / 0.01) ** 2 + (kind == "a") + luck


def test_the_best_values_and_their_losses_on_other_seeds() -> None:
    found = tune(bowl, SPACE, "sobol", trials=64, test_seeds=5)
    assert found.values["kind"] == "b"
    assert math.log10(float(found.values["lr"])) == pytest.approx(-2, abs=0.2)
    expected = [bowl(**found.values, seed=TEST_SEED + n) for n in range(5)]
    assert found.test_losses == pytest.approx(tuple(expected))
    assert found.test_loss == pytest.approx(np.mean(expected))
    assert found.ci90 is not None
    half = 2.1318 * np.std(expected, ddof=1) / math.sqrt(5)  # Student's t, 4 degrees, 95 %
    assert found.ci90[1] - found.test_loss == pytest.approx(half, rel=1e-3)
    assert found.tuning_loss == pytest.approx(bowl(**found.values, seed=0))
    assert len(found.trials) == 64
    assert found.reason == "all 64 trials are decided"


def test_a_fidelity_is_handed_over_and_the_longest_trials_are_compared() -> None:
    def falls(lr: float, fidelity: float, seed: int) -> float:
        return abs(lr - 0.5) - (2 if fidelity == 1 else 0)  # short ones flatter

    found = tune(falls, {"lr": {"low": 0, "high": 1}}, "hyperband", least=1, most=9)
    assert found.fidelity == 9
    assert found.test_loss == pytest.approx(found.tuning_loss)
    assert found.tuning_loss >= 0


def test_divergence_costs_its_own_trial_alone() -> None:
    def wild(lr: float, seed: int) -> float:
        if lr > 0.5:
            raise OverflowError
        return math.nan if lr > 0.4 else lr

    found = tune(wild, {"lr": {"low": 0, "high": 1}}, trials=16)
    assert {row.state for row in found.trials} == {"finished", "diverged"}
    assert found.tuning_loss <= 0.1
    with pytest.raises(WindtunnelError, match="all 4 trials diverged"):
        tune(wild, {"lr": {"low": 0.6, "high": 1}}, trials=4)


def test_the_users_own_mistakes_are_theirs() -> None:
    def broken(lr: float, seed: int) -> float:
        raise KeyError("loss")

    with pytest.raises(KeyError):
        tune(broken, {"lr": {"low": 0, "high": 1}}, trials=2)


def test_a_policy_may_be_made_before() -> None:
    space = Space({"lr": Float(0, 1)})
    found = tune(lambda lr, seed: lr, space, RandomPolicy(space, trials=4), test_seeds=1)
    assert (len(found.trials), found.ci90) == (4, None)
    with pytest.raises(WindtunnelError, match="'trials' belongs to the policy"):
        tune(lambda lr, seed: lr, space, RandomPolicy(space, trials=4), trials=9)
    with pytest.raises(WindtunnelError, match="test_seeds is 0 and has to be 1"):
        tune(lambda lr, seed: lr, space, trials=4, test_seeds=0)


def bowl_of_rate(lr: float, fidelity: float, seed: int) -> float:
    return math.log10(lr / 0.01) ** 2 + 1 / fidelity


@pytest.mark.parametrize(("policy", "options"), [("hyperband", {}), ("dehb", {"passes": 1})])
def test_more_workers_give_the_same_table(policy: str, options: dict) -> None:
    space = {"lr": SPACE["lr"]}
    one, three = (
        tune(bowl_of_rate, space, policy, least=1, most=9, workers=workers, **options)
        for workers in (1, 3)
    )
    assert three == one


def test_what_cannot_be_sent_to_other_processes_is_said() -> None:
    with pytest.raises(WindtunnelError, match="define it at the top of a module"):
        tune(lambda lr, seed: lr, {"lr": [1.0]}, trials=1, workers=2)


def test_time_ends_it() -> None:
    def slow(lr: float, seed: int) -> float:
        time.sleep(0.02)
        return lr

    space = Space({"lr": Float(0, 1)})
    assert len(tune(slow, space, "random", trials=3, seconds=60).trials) == 3

    class OneByOne(RandomPolicy):
        def next(self, table, budget, seed):
            answer = super().next(table, budget, seed)
            return answer[:1] if isinstance(answer, list) else answer

    short = tune(slow, space, OneByOne(space, trials=1000), seconds=0.2)
    assert 1 <= len(short.trials) < 1000
    assert short.reason == "the budget of 0 seconds is spent"


def walker(lr: float, *, fidelity: float, seed: int, state: Path, continues: Path | None) -> float:
    """Gradient descent on a bowl that is steep at first, from its own or another's place."""
    kept = {"at": 1.0 + seed % 2 * 0.1, "steps": 0} if continues is None else load(continues)
    while kept["steps"] < fidelity:
        steepness = 1.0 if kept["steps"] < 20 else 0.1
        kept["at"] -= lr * steepness * kept["at"]
        kept["steps"] += 1
        with (state / "log").open("a") as log:
            log.write(".")
    (state / "kept.json").write_text(json.dumps(kept))
    return 1e-6 + kept["at"] ** 2


def load(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "kept.json").read_text())
    return found


def steps_walked(states: Path) -> int:
    return sum(len(log.read_text()) for log in states.glob("0*/log"))


RATES = {"lr": {"low": 0.01, "high": 1.0, "log": True}}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_promoted_trial_goes_on_from_its_state(tmp_path: Path, workers: int) -> None:
    options: dict[str, Any] = {"trials": 9, "least": 9, "most": 81, "seed": 4}
    found = tune(
        walker, RATES, "successive-halving", states=tmp_path / "s", workers=workers, **options
    )

    def anew(lr: float, *, fidelity: float, seed: int) -> float:
        folder = tmp_path / f"anew-{lr}-{fidelity}-{seed}"
        folder.mkdir()
        return walker(lr, fidelity=fidelity, seed=seed, state=folder, continues=None)

    assert found.trials == tune(anew, RATES, "successive-halving", **options).trials
    assert steps_walked(tmp_path / "s") == 9 * 9 + 3 * (27 - 9) + 1 * (81 - 27)


def test_a_population_trains_on_and_its_schedule_is_tested(
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {"members": 12, "interval": 5, "intervals": 10, "seed": 1}
    found = tune(walker, RATES, "pbt", states=tmp_path / "s", **options)
    assert len({trial.run.values["lr"] for trial in found.trials}) > 12, "values were changed"
    assert steps_walked(tmp_path / "s") == 12 * 50
    assert found.test_loss == pytest.approx(found.tuning_loss, rel=0.5), "its schedule is replayed"


def test_a_population_without_states_is_refused() -> None:
    with pytest.raises(WindtunnelError, match="give it `states`"):
        tune(lambda lr, **_: lr, RATES, "pbt", members=4, interval=1, intervals=2)


def test_a_folder_with_other_states_is_refused(tmp_path: Path) -> None:
    (tmp_path / "000000").mkdir()
    with pytest.raises(WindtunnelError, match="isn't empty"):
        tune(walker, RATES, "random", trials=2, fidelity=1, states=tmp_path)
