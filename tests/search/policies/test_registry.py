from __future__ import annotations

from collections.abc import Callable

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.search.conformance import assert_policy_conforms
from windtunnel.search.policies import POLICIES, make_policy
from windtunnel.search.policies.halving import better
from windtunnel.search.space import Choice, Float, Int, Space
from windtunnel.search.trial import Trial

RATES = Space({"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(1e-3, 1.0, log=True)})
OPTIONS: dict[str, dict] = {
    "random": {"trials": 20},
    "sobol": {"trials": 20, "fidelity": 9.0},
    "successive-halving": {"trials": 9, "least": 1, "most": 9},
    "hyperband": {"least": 1, "most": 9},
    "asha": {"trials": 15, "least": 1, "most": 9, "at_once": 2},
    "iterative-deepening-hyperband": {"least": 1, "most": 4, "raises": 1, "eta": 2},
    "dehb": {"least": 1, "most": 9},
    "pbt": {"members": 4, "interval": 2.0, "intervals": 3},
    "telescoping": {"points": 4, "widths": [16, 32]},
    "trajectory-invariance": {"points": 5},
    "optuna": {"sampler": "random", "trials": 8},
    "ladder": {"scales": [{"width": 8.0}], "target": {"width": 64.0}, "runs": 12},
}
ONLY_RATES = {"ladder", "optuna", "telescoping", "trajectory-invariance"}


def rate_loss(trial: Trial) -> float | None:
    """Least at an effective rate of .001; small rates diverge not."""
    values = trial.values
    if float(values["lr"]) > 0.5:
        return None
    return abs(float(values["lr"]) * float(values["weight_decay"]) - 1e-3) + 0.01 * float(
        values["lr"]
    )


def test_every_policy_is_tried() -> None:
    assert set(OPTIONS) == set(POLICIES)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_keeps_the_contract(
    name: str, space: Space, objective: Callable[[Trial], float | None]
) -> None:
    if name == "optuna":
        pytest.importorskip("optuna")
    searched, loss = (RATES, rate_loss) if name in ONLY_RATES else (space, objective)
    rows = assert_policy_conforms(
        lambda: make_policy(name, searched, **OPTIONS[name]), loss, lags=(1, 3), orders=2
    )
    for row in rows:
        searched.check({k: v for k, v in row.run.values.items() if k in searched.parameters})


@pytest.mark.parametrize("name", sorted(set(POLICIES) - ONLY_RATES))
def test_choices_alone_recur_with_other_seeds(name: str) -> None:
    """A space of six points: trials repeat values, never a whole trial."""
    few = Space({"a": Choice(("x", "y", "z")), "b": Int(1, 2)})
    assert_policy_conforms(
        lambda: make_policy(name, few, **OPTIONS[name]),
        lambda trial: float(len(str(trial.values["a"])) + int(trial.values["b"])),
        lags=(2,),
        orders=1,
    )


@pytest.mark.parametrize("name", sorted(set(POLICIES) - ONLY_RATES))
def test_what_diverges_is_never_gone_on_from(
    name: str, space: Space, play: Callable, objective: Callable[[Trial], float | None]
) -> None:
    rows, _ = play(make_policy(name, space, **OPTIONS[name]), objective)
    assert any(row.loss is None for row in rows)
    for row in rows:
        if row.run.continues is not None:
            assert rows[row.run.continues].loss is not None
            assert row.run.continues < row.number
    assert better(rows)[0].loss is not None


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("tpe", {}, "no 'tpe'; choose one of random, sobol"),
        ("random", {}, "missing a required argument: 'trials'; its options are trials, fidelity"),
        ("hyperband", {"least": 1, "most": 9, "best": 1}, "unexpected keyword argument 'best'"),
        ("hyperband", {"least": 0, "most": 9}, "fidelities from 0 to 9"),
        ("asha", {"trials": 3, "least": 1, "most": 9, "eta": 1}, "eta is 1"),
        ("pbt", {"members": 1, "interval": 1, "intervals": 2}, "two members"),
        ("telescoping", {"points": 3, "widths": [16, 32]}, "decay is no number on a log scale"),
        ("trajectory-invariance", {}, "the space has lr, decay, kind, extra"),
    ],
)
def test_what_is_wrong_is_said(space: Space, name: str, options: dict, words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        make_policy(name, space, **options)
