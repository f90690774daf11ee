from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.compare import compare_laws

BASE = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
BETTER = {**BASE, "E": 1.75}
# Learns slower from data but has the lower floor: worse at first, better later.
CROSSES = {**BASE, "E": 1.78, "B": 2500.0}
TARGET = {"params": 7e9, "tokens": 1.4e11}


def loss(law, params, tokens):
    return law["E"] + law["A"] / params ** law["alpha"] + law["B"] / tokens ** law["beta"]


def apart(law):
    """The same law of runs at other scales, so that none pairs with another law's."""
    inputs = {name: values * (1 - 1e-9) for name, values in law.inputs.items()}
    return dataclasses.replace(law, inputs=inputs)


def test_a_known_difference_and_its_range_by_hand(make_exact_law):
    spreads = [
        dataclasses.replace(make_exact_law().spread, noise=noise, widening=widening)
        for noise, widening in ((0.003, 1.0), (0.002, 2.0))
    ]
    found = compare_laws(
        make_exact_law(BETTER, spreads[0]), apart(make_exact_law(BASE, spreads[1])), TARGET
    )
    expected = loss(BETTER, 7e9, 1.4e11) / loss(BASE, 7e9, 1.4e11) - 1
    assert found.difference.value == pytest.approx(expected)
    half = 1.6448536 * np.hypot(0.003, 0.004)
    assert found.difference.ci90 == pytest.approx(
        (np.expm1(np.log1p(expected) - half), np.expm1(np.log1p(expected) + half))
    )
    assert found.verdict == "better"
    assert found.sentence.startswith("A is better than B at the target: -3.")


def test_the_drift_counts_by_the_distance(make_exact_law):
    law = make_exact_law(BASE)
    drifting = dataclasses.replace(law, spread=dataclasses.replace(law.spread, drift=0.01))
    far = compare_laws(drifting, apart(law), TARGET)
    near = compare_laws(drifting, apart(law), {"params": 1e9, "tokens": 2e10})
    assert far.difference.ci90[1] > 0.01
    assert near.difference.ci90[1] == 0


def test_the_order_does_not_matter(make_law):
    one, other = make_law(law=BETTER, draws=20), make_law(seed=1, draws=20)
    there, back = (
        compare_laws(one, other, TARGET),
        compare_laws(other, one, TARGET, names=("B", "A")),
    )
    assert (there.verdict, back.verdict) == ("better", "worse")
    assert there.chance == pytest.approx(1 - back.chance)
    assert np.log1p(there.difference.value) == pytest.approx(-np.log1p(back.difference.value))


def test_no_difference_is_seldom_shown_where_there_is_none(make_law):
    shown = [
        compare_laws(make_law(seed=seed, draws=20), make_law(seed=500 + seed, draws=20), TARGET)
        for seed in range(8)
    ]
    wrong = sum(one.verdict != "no difference shown" for one in shown)
    assert wrong <= 2
    assert (
        "No difference between A and B is shown"
        in next(one for one in shown if one.verdict == "no difference shown").sentence
    )


def test_crossings_of_known_place(make_exact_law):
    found = compare_laws(make_exact_law(CROSSES), make_exact_law(BASE), TARGET)
    # At one size: B1 / D^beta - B2 / D^beta = E2 - E1.
    tokens = ((2500.0 - 2085.43) / (1.8172 - 1.78)) ** (1 / 0.3658)
    by_axis = {one.axis: one for one in found.crossings}
    assert by_axis["tokens"].at.value == pytest.approx(tokens, rel=5e-3)
    assert by_axis["tokens"].at.ci90 == (by_axis["tokens"].at.value,) * 2
    assert by_axis["tokens"].beyond == "first"
    assert by_axis["tokens"].share == 1
    flops = by_axis["flops"].at.value
    best = []
    for law in (CROSSES, BASE):
        a, b, alpha, beta = (law[name] for name in ("A", "B", "alpha", "beta"))
        g = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
        params = g * (flops / 6) ** (beta / (alpha + beta))
        best.append(loss(law, params, flops / 6 / params))
    assert best[0] == pytest.approx(best[1], rel=1e-5)
    assert "tokens at the target's parameters; A is better above." in found.sentence


def test_parallel_laws_do_not_cross(make_exact_law):
    found = compare_laws(make_exact_law(BETTER), make_exact_law(BASE), TARGET)
    assert all(one.at is None and one.share == 0 for one in found.crossings)


def test_an_unsure_crossing_has_a_range(make_law):
    found = compare_laws(make_law(law=CROSSES, noise=0.002), make_law(seed=1, noise=0.002), TARGET)
    place = next(one for one in found.crossings if one.axis == "tokens")
    assert place.at is not None
    assert place.at.ci90[0] < place.at.value < place.at.ci90[1]


def test_a_forecast_to_doubt_is_said(make_exact_law):
    near = dataclasses.replace(make_exact_law().spread, reach=0.1)
    far = {"params": 7e13, "tokens": 1.4e15}
    found = compare_laws(make_exact_law(BETTER), make_exact_law(BASE, near), far)
    assert found.trust == "cannot say"
    assert "But of B at the target the runs cannot say: the target lies" in found.sentence
    assert compare_laws(make_exact_law(BETTER), make_exact_law(BASE), TARGET).trust == "ok"


def test_draws_of_one_seed_are_not_paired(noisy):
    """A law's draws against themselves, one by one, would differ nowhere."""
    assert all(one.share > 0 for one in compare_laws(noisy, noisy, TARGET).crossings)


def test_what_cannot_be_compared_is_refused(make_exact_law):
    law = make_exact_law()
    with pytest.raises(WindtunnelError, match="--at: the target needs a positive tokens"):
        compare_laws(law, law, {"params": 7e9})
