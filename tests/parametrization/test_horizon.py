from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.horizon import (
    load_recipe_rule,
    read_recipe_rule,
    recipe_at,
    recipe_rule_names,
)
from windtunnel.scale import Geometry, Recipe

RECIPE = Recipe(lr=0.01, batch_units=64, beta1=0.98, beta2=0.99, eps=1e-6)
NUMBERS = [
    f.name
    for f in dataclasses.fields(Recipe)
    if not f.name.startswith("schedule") and not f.name.endswith("_settings")
]


def numbers(recipe: Recipe) -> list[float]:
    return [getattr(recipe, name) for name in NUMBERS]


def test_the_square_root_rule_is_that_of_malladi_and_others() -> None:
    """Malladi et al. 2022, square root scaling rule for Adam, for four times the batch."""
    found = recipe_at(RECIPE, "adam-sde", batch_ratio=4)
    assert found.batch_units == 256
    assert found.lr == pytest.approx(0.01 * 2)
    assert found.eps == pytest.approx(1e-6 / 2)
    assert found.beta1 == pytest.approx(1 - 4 * 0.02)
    assert found.beta2 == pytest.approx(1 - 4 * 0.01)
    assert found.lr * found.weight_decay == pytest.approx(4 * RECIPE.lr * RECIPE.weight_decay)


def test_the_linear_rule_leaves_momentum_and_the_decay_of_a_sample() -> None:
    found = recipe_at(RECIPE, "linear", batch_ratio=4)
    assert found == RECIPE.replace(lr=0.04, batch_units=256)


def test_sdew_keeps_the_rate() -> None:
    found = recipe_at(RECIPE, "sdew", batch_ratio=4)
    assert (found.lr, found.beta1) == (RECIPE.lr, RECIPE.beta1)
    assert found.weight_decay == pytest.approx(2 * RECIPE.weight_decay)
    assert found.eps == pytest.approx(RECIPE.eps / 2)
    assert found.beta2 == pytest.approx(1 - 2 * 0.01)


def test_the_token_horizon_lowers_the_rate_and_nothing_else() -> None:
    found = recipe_at(RECIPE, "token-horizon", horizon_ratio=10)
    assert found == RECIPE.replace(lr=pytest.approx(RECIPE.lr * 10**-0.32))
    assert "MuonH" in load_recipe_rule("token-horizon").status


def test_completed_p_is_the_square_root_rule_in_batch_over_length() -> None:
    expected = recipe_at(RECIPE, "adam-sde", batch_ratio=2)
    found = recipe_at(RECIPE, "completed-p", batch_ratio=8, horizon_ratio=4)
    assert numbers(found.replace(batch_units=128)) == pytest.approx(numbers(expected))


def test_every_rule_says_where_it_comes_from() -> None:
    assert recipe_rule_names() == ("adam-sde", "completed-p", "linear", "sdew", "token-horizon")
    for name in recipe_rule_names():
        rule = load_recipe_rule(name)
        assert rule.title and rule.source and rule.status and rule.geometries and rule.powers
    assert load_recipe_rule("linear").geometries == (Geometry.SGD,)


@pytest.mark.parametrize("name", recipe_rule_names())
def test_nothing_changes_at_base(name: str) -> None:
    assert recipe_at(RECIPE, name) == RECIPE


axes = [(name, axis) for name in recipe_rule_names() for axis in load_recipe_rule(name).powers]


@pytest.mark.parametrize(("name", "axis"), axes)
@given(ratios=st.tuples(*[st.sampled_from([0.25, 0.5, 1, 2, 4])] * 2))
def test_two_steps_are_one(name: str, axis: str, ratios: tuple[float, float]) -> None:
    first, second = ratios
    key = f"{axis}_ratio"
    twice = recipe_at(recipe_at(RECIPE, name, **{key: first}), name, **{key: second})
    once = recipe_at(RECIPE, name, **{key: first * second})
    assert numbers(twice) == pytest.approx(numbers(once), rel=1e-12)


def test_an_average_without_memory_left_names_the_largest_ratio() -> None:
    recipe = RECIPE.replace(beta1=0.5, beta2=0.95, batch_units=10)
    with pytest.raises(WindtunnelError, match=r"batch_ratio: 2 .*beta1 = 0.5.*below 2$"):
        recipe_at(recipe, "adam-sde", batch_ratio=2)
    assert recipe_at(recipe, "adam-sde", batch_ratio=1.9).beta1 == pytest.approx(0.05)
    with pytest.raises(WindtunnelError, match=r"beta2 = 0.95 .*'sdew'.*below 400$"):
        recipe_at(recipe, "sdew", batch_ratio=400)
    with pytest.raises(WindtunnelError, match=r"horizon_ratio: 0.1 .*keep the ratio above 0.5$"):
        recipe_at(recipe, "completed-p", horizon_ratio=0.1)


def test_an_average_that_is_off_stays_off() -> None:
    assert recipe_at(RECIPE.replace(beta1=0.0), "adam-sde", batch_ratio=4).beta1 == 0.0


@pytest.mark.parametrize(
    ("rule", "ratios", "words"),
    [
        ("adam", {}, "no recipe rule 'adam'; known recipe rules: adam-sde"),
        ("linear", {"batch_ratio": 0}, "batch_ratio: 0 is not a positive number"),
        ("linear", {"batch_ratio": float("inf")}, "batch_ratio: inf is not"),
        ("linear", {"horizon_ratio": 2}, "nothing of the horizon; take completed-p or token-"),
        ("token-horizon", {"batch_ratio": 2}, "'token-horizon' says nothing of the batch"),
        ("linear", {"batch_ratio": 1.01}, "batch_ratio: 64 units times 1.01 is no whole number"),
        ("linear", {"batch_ratio": 1e-9}, "no whole number"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    rule: str, ratios: dict[str, float], words: str
) -> None:
    with pytest.raises(WindtunnelError) as error:
        recipe_at(RECIPE, rule, **ratios)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


ABOUT = 'title = "t"\nsource = "s"\nstatus = "u"\ngeometries = ["sign"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'title' is missing"),
        ("title = 3", "'title' is not a text"),
        ("title =", "rule mine: "),
        (ABOUT + "bacth = {}", "'bacth' is no entry"),
        (ABOUT.replace("sign", "adam"), "'adam' is not a valid Geometry"),
        (ABOUT + "batch = 1", "'batch' is no table"),
        (ABOUT + "[batch]\nbeta2 = 1", "batch.'beta2' is none of lr, weight_decay, eps"),
        (ABOUT + '[batch]\nlr = "half"', "batch.'lr' is not a number"),
        (ABOUT + "[batch]\nlr = true", "batch.'lr' is not a number"),
    ],
)
def test_a_file_that_is_no_rule_is_refused(text: str, words: str) -> None:
    with pytest.raises(WindtunnelError) as error:
        read_recipe_rule("mine", text)
    assert words in str(error.value)


@given(st.text(max_size=60))
def test_any_file_is_a_rule_or_an_error_for_people(text: str) -> None:
    with pytest.raises(WindtunnelError):
        read_recipe_rule("mine", ABOUT + "[batch]\nlr = 1\n[batch]\n" + text)


# A noisy quadratic, on which Adam with another batch must follow the base's distribution

BATCH, DATA, COPIES = 8, 4096, 20_000
ADAM = Recipe(
    lr=0.02, batch_units=BATCH, weight_decay=0.05, beta1=0.98, beta2=0.99, eps=0.5 / BATCH**0.5
)


def adam_on_a_noisy_quadratic(recipe: Recipe, seed: int) -> np.ndarray:
    """Mean and standard deviation of the iterate after 5/8, 6/8, 7/8 and all of the data.

    The slope is 0.1 (x - c) plus noise; half-way c moves from 0 to 1 and the noise falls to a
    quarter, so that the memories of both averages matter as well. All in float64.
    """
    draw = np.random.default_rng(seed)
    x, m, v = np.ones(COPIES), np.zeros(COPIES), np.zeros(COPIES)
    steps = DATA // recipe.batch_units
    found = []
    for step in range(1, steps + 1):
        late = 2 * step > steps
        noise = (1 if late else 4) / recipe.batch_units**0.5
        gradient = 0.1 * (x - late) + noise * draw.standard_normal(COPIES)
        m += (1 - recipe.beta1) * (gradient - m)
        v += (1 - recipe.beta2) * (gradient**2 - v)
        rooted = np.sqrt(v / (1 - recipe.beta2**step)) + recipe.eps
        x -= recipe.lr * (recipe.weight_decay * x + m / (1 - recipe.beta1**step) / rooted)
        if 8 * step % steps == 0 and 8 * step > 4 * steps:
            found += [x.mean(), x.std()]
    return np.array(found)


def test_adam_with_four_times_the_batch_follows_the_same_distribution() -> None:
    base = adam_on_a_noisy_quadratic(ADAM, seed=0)
    scaled = recipe_at(ADAM, "adam-sde", batch_ratio=4)
    found = adam_on_a_noisy_quadratic(scaled, seed=1)
    np.testing.assert_allclose(found, base, rtol=0.03)
    for left_out in ("lr", "weight_decay", "eps", "beta1", "beta2"):
        broken = scaled.replace(**{left_out: getattr(ADAM, left_out)})
        off = adam_on_a_noisy_quadratic(broken, seed=1) / base - 1
        assert np.abs(off).max() > 0.06, left_out
