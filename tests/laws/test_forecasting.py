from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fitting import fit_form
from windtunnel.laws.forecasting import WIDE, WIDEST, forecast_law
from windtunnel.laws.forms import FORMS, form_named
from windtunnel.laws.forms.form import Form
from windtunnel.laws.law import Law, Spread
from windtunnel.laws.rows import Rows
from windtunnel.laws.spread import NORMAL_90

TARGET = {"params": 4e9, "tokens": 1e11}


@pytest.fixture(scope="module")
def law() -> Law:
    """Quiet rows on a grid, draws that scatter a little, 12 groups behind it, a reach of 4."""
    params, tokens = (
        v.ravel() for v in np.meshgrid(np.geomspace(1e8, 1e9, 4), np.geomspace(2e9, 2e10, 4))
    )
    inputs = {"params": params, "tokens": tokens}
    loss = 1.8172 + 482.01 / params**0.3478 + 2085.43 / tokens**0.3658
    fitted = fit_form(Rows.of(form_named("chinchilla"), inputs, loss))
    draws = fitted.parameters + 0.002 * np.random.default_rng(0).standard_normal((50, 5))
    return Law(fitted, draws, "loss", inputs, loss, Spread(0.003, 0.002, 1.2, 12, 4.0), {})


def with_spread(law: Law, **changes: float) -> Law:
    return dataclasses.replace(law, spread=dataclasses.replace(law.spread, **changes))


def with_rows(law: Law, **inputs: list[float]) -> Law:
    return dataclasses.replace(
        law, inputs={**law.inputs, **{k: np.array(v) for k, v in inputs.items()}}
    )


def test_all_is_well(law: Law, true_loss: Callable[..., float]) -> None:
    found = forecast_law(law, TARGET)
    assert (found.verdict, found.ci90[0] < found.value < found.ci90[1]) == ("ok", True)
    assert found.value == pytest.approx(true_loss(**TARGET), rel=2e-3)
    assert [axis.ratio for axis in found.axes] == pytest.approx([4.0, 5.0])
    assert [axis.verdict for axis in found.axes] == ["ok", "ok"]
    assert found.axes[0].varied == pytest.approx((1e8, 1e9))
    assert found.axes[0].values == 4


def test_the_range_is_made_of_its_parts(law: Law) -> None:
    found = forecast_law(law, TARGET)
    assert found.spread["noise"] == 0.003
    assert found.spread["drift"] == pytest.approx(0.002 * math.log(20))
    at = {name: np.array([value]) for name, value in TARGET.items()}
    low, high = np.quantile(np.log(law.drawn(at)[:, 0]), [0.05, 0.95])
    assert found.spread["fit"] == pytest.approx((high - low) / 2 / NORMAL_90)
    half = 1.2 * NORMAL_90 * math.hypot(*found.spread.values())
    assert found.ci90 == pytest.approx(
        (found.value * math.exp(-half), found.value * math.exp(half))
    )


def test_ranges_grow_with_distance(law: Law) -> None:
    widths = []
    for times in (1, 3, 10, 30):
        found = forecast_law(law, {"params": 1e9 * times, "tokens": 2e10})
        assert found.ci90[0] < found.value < found.ci90[1]
        widths.append(math.log(found.ci90[1] / found.ci90[0]))
    assert widths == sorted(widths)
    assert widths[-1] > widths[0]


def test_wide_and_too_wide(law: Law) -> None:
    found = forecast_law(with_spread(law, noise=0.04), TARGET)
    assert found.verdict == "wide"
    assert f"above {100 * WIDE:.0f} %" in found.reason
    found = forecast_law(with_spread(law, noise=0.2), TARGET)
    assert found.verdict == "cannot say"
    assert (found.ci90[1] - found.ci90[0]) / 2 / found.value > WIDEST


def test_too_few_groups_are_at_best_wide(law: Law) -> None:
    assert forecast_law(with_spread(law, groups=9), TARGET).verdict == "ok"
    found = forecast_law(with_spread(law, groups=8), TARGET)
    assert found.verdict == "wide"
    assert "8 runs to test it on, where 9 are needed" in found.reason


def test_an_axis_of_one_value(law: Law) -> None:
    one = with_rows(law, params=[1e8] * 16)
    found = forecast_law(one, {"params": 2e8, "tokens": 1e10})
    assert (found.verdict, found.axes[0].verdict, found.axes[1].verdict) == (
        "cannot say",
        "cannot say",
        "ok",
    )
    assert "every row has the same params" in found.reason
    assert forecast_law(one, {"params": 1e8, "tokens": 1e10}).verdict == "ok"


def test_an_axis_of_two_values(law: Law) -> None:
    two = with_rows(law, tokens=[2e9, 2e10] * 8)
    found = forecast_law(two, {"params": 5e8, "tokens": 4e10})
    assert found.verdict == "cannot say"
    assert "2 times beyond rows with only 2 values of tokens" in found.reason
    assert forecast_law(two, {"params": 5e8, "tokens": 1e10}).verdict == "ok"


def test_beyond_what_back_tests_speak_for(law: Law) -> None:
    near, far = ({"params": 1e9 * times, "tokens": 2e10} for times in (950, 1050))
    short, long = with_spread(law, reach=2.5), with_spread(law, reach=7.5)
    assert forecast_law(short, near).verdict == "ok"  # a thousandfold, whatever was tested
    found = forecast_law(short, far)
    assert found.verdict == "cannot say"
    assert "speak for 1e+03 times at most" in found.reason
    assert forecast_law(long, far).verdict == "ok"  # a back-test reached e^7.5, 1,800 times
    assert forecast_law(long, {"params": 1.9e12, "tokens": 2e10}).verdict == "cannot say"


def test_without_a_floor(law: Law) -> None:
    floorless = dataclasses.replace(law, summary={"floorless": True})
    assert forecast_law(floorless, {"params": 2.9e10, "tokens": 2e10}).verdict == "ok"
    found = forecast_law(floorless, {"params": 3.1e10, "tokens": 2e10})
    assert found.verdict == "cannot say"
    assert "no floor" in found.reason


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_every_exponent_decides_what_lies_beyond(form: Form) -> None:
    assert [p.decisive for p in form.parameters] == ["exponent" in p.name for p in form.parameters]


def test_a_power_law_without_an_exponent(law: Law) -> None:
    inputs = {"tokens": np.geomspace(1e9, 1e10, 8)}
    form = form_named("power-tokens")
    fitted = fit_form(Rows.of(form, inputs, 2.0 + (inputs["tokens"] / 1e9) ** -6.0))
    assert "log_exponent" in fitted.at_bounds()
    draws = np.tile(fitted.parameters, (10, 1))
    straight = dataclasses.replace(law, fitted=fitted, draws=draws, inputs=inputs)
    assert "do not fix the exponents" in forecast_law(straight, {"tokens": 1e11}).reason


def test_an_exponent_on_its_bound(law: Law) -> None:
    parameters = law.fitted.parameters.copy()
    parameters[4] = law.fitted.form.upper[4]
    loose = dataclasses.replace(law, fitted=dataclasses.replace(law.fitted, parameters=parameters))
    found = forecast_law(loose, TARGET)
    assert found.verdict == "cannot say"
    assert "do not fix the exponents" in found.reason
    assert forecast_law(loose, {"params": 5e8, "tokens": 1e10}).reason.startswith("the range")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"params": 1e9}, "the target needs tokens"),
        ({"params": 1e9, "tokens": 0.0}, "tokens 0.0 is not a positive number"),
        ({"params": math.nan, "tokens": 1e9}, "params nan is not a positive number"),
        ({"params": 1e9, "tokens": math.inf}, "tokens inf is not a positive number"),
    ],
)
def test_targets_that_are_none(law: Law, target: dict[str, float], words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        forecast_law(law, target)


def test_json(law: Law) -> None:
    found = forecast_law(law, TARGET).to_json()
    assert list(found) == ["loss", "ci90", "verdict", "reason", "axes", "spread"]
    assert set(found["axes"][1]) == {
        "axis", "varied", "values", "target", "ratio", "verdict", "reason",
    }  # fmt: skip
