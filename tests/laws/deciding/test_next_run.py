from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.candidate_runs import candidate_runs, training_flops
from windtunnel.laws.deciding.next_run import next_runs
from windtunnel.laws.folds import distance
from windtunnel.laws.law import Law, Spread

TARGET = {"params": 7e9, "tokens": 1.4e11}
E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658


def small_rows():
    budgets, ratios = np.meshgrid(np.geomspace(1e18, 3e19, 5), np.geomspace(4, 100, 5))
    params = np.sqrt(budgets / 6 / ratios).ravel()
    return params, budgets.ravel() / 6 / params


def test_the_expected_shrinkage_is_what_refitting_gives(make_law):
    """Over seeds, against a fit with the runs added and new draws."""
    params, tokens = small_rows()
    said, got = [], []
    for seed in range(8):
        law = make_law(seed=seed, rows=(params, tokens), draws=200)
        found = next_runs(law, TARGET, 3e20, most=2)
        generator = np.random.default_rng(1000 + seed)
        more = [np.array([run.inputs[name] for run in found.runs]) for name in ("params", "tokens")]
        loss = E + A / more[0] ** ALPHA + B / more[1] ** BETA
        loss = loss * np.exp(0.003 * generator.standard_normal(loss.size))
        grown = make_law(
            seed=seed,
            rows=(np.append(params, more[0]), np.append(tokens, more[1])),
            losses=np.append(law.observed, loss),
            draws=200,
        )
        said.append(found.after / found.before)
        got.append(next_runs(grown, TARGET, 1e19).before / found.before)
    assert np.mean(said) == pytest.approx(np.mean(got), rel=0.15)
    assert np.mean(said) < 0.75  # and there is something to shrink


def test_one_step_of_the_filter_by_hand(make_law):
    """Two correlated numbers: the target's variance falls by S_tc^2 / (S_cc + noise^2)."""
    law = make_law(rows=small_rows())
    found = next_runs(law, TARGET, 3e20, most=1)
    (run,) = found.runs
    points = {name: np.array([TARGET[name], run.inputs[name]]) for name in TARGET}
    drawn = np.log(law.drawn(points))
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    sd = (high - low) / 2 / 1.6448536
    s = np.corrcoef(drawn, rowvar=False) * np.outer(sd, sd)
    left = s[0, 0] - s[0, 1] ** 2 / (s[1, 1] + 0.003**2) + 0.003**2
    loss = law({name: values[:1] for name, values in points.items()})[0]
    assert run.halfwidth == pytest.approx(loss * np.sinh(1.6448536 * np.sqrt(left)), rel=0.01)
    assert run.flops == 6 * run.inputs["params"] * run.inputs["tokens"]


def test_more_budget_narrows_more_and_the_budget_is_kept(make_law):
    law = make_law(rows=small_rows())
    found = [next_runs(law, TARGET, budget) for budget in (1e18, 1e20, 1e21)]
    for one in found:
        assert one.flops <= one.budget
        assert one.after <= one.before
        assert [run.halfwidth for run in one.runs] == sorted(
            (run.halfwidth for run in one.runs), reverse=True
        )
    after = [one.after for one in found]
    assert after == sorted(after, reverse=True)
    assert after[2] < after[0]


def test_drift_shrinks_as_the_runs_come_nearer(make_law):
    law = make_law(rows=small_rows())
    drifting = Law(
        law.fitted,
        np.tile(law.fitted.parameters, (50, 1)),  # the parameters are known: only drift is left
        law.metric,
        law.inputs,
        law.observed,
        Spread(noise=1e-6, drift=0.01, widening=1.0, groups=20, reach=5.0),
        {},
    )
    found = next_runs(drifting, TARGET, 1e21, most=1)
    (run,) = found.runs
    target = {name: np.array([value]) for name, value in TARGET.items()}
    grown = {name: np.append(law.inputs[name], run.inputs[name]) for name in TARGET}
    loss = law(target)[0]
    for half, measured in ((found.before, law.inputs), (found.after, grown)):
        nats = distance(measured, target)[0]
        assert half == pytest.approx(loss * np.sinh(1.6448536 * 0.01 * nats), rel=1e-3)
    assert run.flops > 5e20  # the nearest to the target that can be had


def test_no_budget_no_runs(make_law):
    found = next_runs(make_law(rows=small_rows()), TARGET, 1e15)
    assert found.runs == ()
    assert found.after == found.before
    assert "give a larger budget" in found.sentence


def test_no_candidate_is_half_as_dear_as_the_target(make_law):
    law = make_law(rows=small_rows())
    assert training_flops(candidate_runs(law, TARGET, 1e30)).max() <= 3 * 7e9 * 1.4e11
    # A target smaller than the runs there are leaves runs as large as those.
    small = candidate_runs(law, {"params": 1e7, "tokens": 2e8}, 1e30)
    assert 1e19 < training_flops(small).max() <= 3e19 * 1.001


def test_candidates_keep_to_the_ratios_and_to_round_numbers(make_law):
    law = make_law(rows=small_rows())
    grid = candidate_runs(law, TARGET, 1e20)
    assert np.all(training_flops(grid) <= 1e20)
    ratios = grid["tokens"] / grid["params"]
    assert ratios.min() >= 2 and ratios.max() <= 200
    assert all(float(f"{value:.2g}") == value for value in grid["params"])


def test_what_cannot_be_asked_is_refused(noisy):
    with pytest.raises(WindtunnelError, match=r"--target: the target needs a positive tokens"):
        next_runs(noisy, {"params": 7e9}, 1e20)
    with pytest.raises(WindtunnelError, match="'chinchilla', which knows nothing of experts"):
        next_runs(noisy, {**TARGET, "experts": 8.0}, 1e20)
    with pytest.raises(WindtunnelError, match="budget of -1"):
        next_runs(noisy, TARGET, -1)
    with pytest.raises(WindtunnelError, match="does not say what a run costs"):
        training_flops({"experts": np.ones(1)})
