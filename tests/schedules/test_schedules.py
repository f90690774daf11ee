"""Every schedule: hand-worked values, the shared convention as properties, and clear refusals."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from windtunnel import schedules
from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe
from windtunnel.schedules import SCHEDULES, recipe_multiplier, schedule_multiplier
from windtunnel.schedules.decay_shapes import SHAPES
from windtunnel.schedules.settings import Setting

# Every schedule with settings that try it: the conformance tests below run over all of these, and
# fail for a schedule that is registered and not here.
SETTINGS: dict[str, list[dict[str, float | str | tuple[float, ...]]]] = {
    "wsd": [
        {},
        *({"shape": shape, "final": final} for shape in SHAPES for final in (0.01, 0.5)),
        {"shape": "half-life", "half_life": 20},
    ],
    "cosine": [{}, {"final": 0.1}],
    "linear": [{}, {"final": 0.1}],
    "constant": [{}],
    "inverse-sqrt": [{}, {"flat_steps": 20}],
    "power": [
        {"lr": 0.02, "batch_units": 4096 * 128},
        {"lr": 0.02, "batch_units": 4096 * 128, "flat_units": 4096 * 128 * 20},
        {"lr": 1e-3, "batch_units": 4096, "amplitude": 1, "shape": "1-sqrt", "final": 0.1},
    ],
    "uba": [{"phi": 0.25}, {"phi": 2}, {"phi": 5, "final": 0.1}],
    "recorded": [{"multipliers": (0.1, 0.9, 1, 0.6, 0.2)}, {"multipliers": (1,)}],
}
cases = st.sampled_from(
    [(name, settings) for name in sorted(SCHEDULES) for settings in SETTINGS[name]]
)
step_counts = st.one_of(st.integers(1, 4), st.integers(1, 300))


@st.composite
def shares(draw: st.DrawFn) -> tuple[float, float]:
    """Two shares of one run: a warm-up and a decay that fits beside it."""
    warmup = draw(st.floats(0, 1))
    return warmup, draw(st.floats(0, 1 - warmup))


def curve(
    name: str,
    steps: int,
    warmup: float,
    decay: float,
    settings: Mapping[str, Setting] | None = None,
) -> list[float]:
    return [
        schedule_multiplier(
            name,
            step,
            steps,
            warmup_fraction=warmup,
            decay_fraction=decay,
            settings=settings or {},
        )
        for step in range(steps)
    ]


@pytest.mark.parametrize(
    ("name", "steps", "warmup", "decay", "expected"),
    [
        ("wsd", 10, 0.2, 0.4, [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
        ("wsd", 4, 0, 0, [1, 1, 1, 1]),
        ("wsd", 4, 1, 0, [0.25, 0.5, 0.75, 1]),
        ("wsd", 4, 0, 1, [1, 0.75, 0.5, 0.25]),
        ("wsd", 1, 0.1, 0.3, [1]),
        ("wsd", 2, 0.1, 0.3, [1, 1]),
        ("wsd", 3, 0.5, 0.5, [0.5, 1, 1]),  # 1.5 steps each: warm-up rounds up, decay gives way
        ("linear", 5, 0.2, 0.3, [1, 1, 0.75, 0.5, 0.25]),
        ("linear", 4, 0.5, 0.9, [0.5, 1, 1, 0.5]),  # a decay share it doesn't use
        ("linear", 1, 0, 0, [1]),
        ("linear", 2, 1, 0, [0.5, 1]),
        ("cosine", 4, 0, 0, [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]),
        ("cosine", 5, 0.4, 0, [0.5, 1, 1, 0.75, 0.25]),
        ("cosine", 1, 0, 0, [1]),
        ("cosine", 2, 1, 0, [0.5, 1]),
    ],
)
def test_values_worked_by_hand(
    name: str, steps: int, warmup: float, decay: float, expected: list[float]
) -> None:
    assert curve(name, steps, warmup, decay) == pytest.approx(expected, rel=1e-12)


def test_the_conformance_tests_know_every_schedule() -> None:
    assert set(SETTINGS) == set(SCHEDULES)


@given(cases, step_counts, shares())
@example(("wsd", {}), 3, (0.5, 0.5))
@example(("linear", {}), 25, (0.1, 0.3))
def test_every_step_moves_the_weights_and_none_exceeds_the_peak(
    case: tuple[str, dict[str, Any]], steps: int, fractions: tuple[float, float]
) -> None:
    name, settings = case
    assert all(0 < multiplier <= 1 for multiplier in curve(name, steps, *fractions, settings))


@given(cases.filter(lambda case: case[0] != "recorded"), step_counts, shares())
def test_rises_in_equal_steps_then_never_rises_again(
    case: tuple[str, dict[str, Any]], steps: int, fractions: tuple[float, float]
) -> None:
    name, settings = case
    multipliers = curve(name, steps, *fractions, settings)
    warmup = round(fractions[0] * steps)
    rise, rest = multipliers[:warmup], multipliers[warmup:]
    if name == "inverse-sqrt":  # it may fall before a warm-up longer than `flat_steps` ends
        return
    peak = rise[-1] if rise else rest[0]
    assert rise == pytest.approx([peak * (step + 1) / warmup for step in range(warmup)])
    assert all(later <= earlier for earlier, later in pairwise(rest))
    if name != "power":
        assert peak == 1
        assert not rest or rest[0] == 1 or name == "inverse-sqrt"


@given(cases, st.integers(200, 300), shares())
def test_no_jump_anywhere(
    case: tuple[str, dict[str, Any]], steps: int, fractions: tuple[float, float]
) -> None:
    """Neighbours differ by no more than the steepest phase's slope allows, at borders too."""
    name, settings = case
    multipliers = curve(name, steps, *fractions, settings)
    warmup = round(fractions[0] * steps)
    decay = min(round(fractions[1] * steps), steps - warmup)
    falls = decay if name in {"wsd", "power"} else steps - warmup
    shortest = min(length for length in (warmup, falls, steps) if length)
    # A root's first step is 1 / sqrt(length), that of an exponential to 0.01 ln(100) / length.
    steepest = max(5 / shortest, 1 / math.sqrt(shortest))
    if name in {"inverse-sqrt", "power"}:  # from its second step on, without a warm-up, by 1 / s
        multipliers = multipliers[10:]
    assert all(abs(later - earlier) <= steepest + 1e-9 for earlier, later in pairwise(multipliers))


@given(cases, step_counts, shares(), st.data())
def test_the_step_alone_decides(
    case: tuple[str, dict[str, Any]],
    steps: int,
    fractions: tuple[float, float],
    data: st.DataObject,
) -> None:
    """Asked in any order, after anything: a resumed run needs its step and nothing else."""
    name, settings = case
    multipliers = curve(name, steps, *fractions, settings)
    step = data.draw(st.integers(0, steps - 1))
    warmup, decay = fractions
    again = schedule_multiplier(
        name, step, steps, warmup_fraction=warmup, decay_fraction=decay, settings=dict(settings)
    )
    assert again == multipliers[step]


def test_a_recipe_says_which_schedule_and_tells_it_rate_and_batch() -> None:
    recipe = Recipe(lr=0.02, batch_units=4096 * 128, warmup_fraction=0, decay_fraction=0)
    assert recipe_multiplier(recipe, 7, 10) == 1  # wsd
    assert recipe_multiplier(recipe.replace(schedule="linear"), 7, 10) == pytest.approx(0.3)
    ending = recipe.replace(schedule="linear", schedule_settings=(("final", 0.5),))
    assert recipe_multiplier(ending, 7, 10) == pytest.approx(0.65)
    power = recipe.replace(schedule="power")
    assert recipe_multiplier(power, 1999, 2000) == pytest.approx(
        4 * 128 * (2000 * 4096 * 128) ** -0.51 / 0.02
    )
    with pytest.raises(WindtunnelError, match="lr: leave it out; the recipe's own is taken"):
        recipe_multiplier(power.replace(schedule_settings=(("lr", 0.1),)), 0, 10)
    with pytest.raises(WindtunnelError, match="no 'stairs'"):
        recipe_multiplier(recipe.replace(schedule="stairs"), 0, 10)


@given(step_counts, shares())
def test_wsd_against_its_definition_by_phase(steps: int, fractions: tuple[float, float]) -> None:
    warmup = round(fractions[0] * steps)
    decay = min(round(fractions[1] * steps), steps - warmup)
    multipliers = curve("wsd", steps, *fractions)
    assert multipliers[warmup : steps - decay] == [1.0] * (steps - decay - warmup)
    falling = [1 - r / decay for r in range(decay)]
    assert multipliers[steps - decay :] == pytest.approx(falling)


@given(step_counts, st.floats(0, 1))
def test_linear_and_cosine_meet_at_start_middle_and_end(steps: int, warmup: float) -> None:
    """Both reach 0 one step after the last: their last values follow from the decay's length."""
    decay = steps - round(warmup * steps)
    if decay == 0:
        return
    line, wave = curve("linear", steps, warmup, 0), curve("cosine", steps, warmup, 0)
    assert line[-1] == pytest.approx(1 / decay)
    assert wave[-1] == pytest.approx((1 - math.cos(math.pi / decay)) / 2)
    middle = steps - decay // 2
    if decay % 2 == 0:
        assert [line[middle], wave[middle]] == pytest.approx([0.5, 0.5])


@given(step_counts)
def test_linear_is_wsd_that_only_decays(steps: int) -> None:
    assert curve("linear", steps, 0, 0) == curve("wsd", steps, 0, 1)


@pytest.mark.parametrize(
    ("name", "step", "steps", "warmup", "decay", "says"),
    [
        ("stairs", 0, 10, 0.1, 0.3, "no 'stairs'; choose from wsd, cosine, linear, "),
        ("wsd", 10, 10, 0.1, 0.3, "step 10 is outside a run of 10 steps"),
        ("wsd", -1, 10, 0.1, 0.3, "step -1 is outside"),
        ("wsd", 0, 0, 0.1, 0.3, "step 0 is outside a run of 0 steps"),
        ("wsd", 0, 10, 0.6, 0.5, "recipe.warmup and recipe.decay: 0.6 [+] 0.5 is more than"),
        ("wsd", 0, 10, 0.1, -0.1, "recipe.decay: -0.1 is no share"),
        ("cosine", 0, 10, 1.5, 0, "recipe.warmup: 1.5 is no share"),
        ("linear", 0, 10, float("nan"), 0, "recipe.warmup: nan is no share"),
    ],
)
def test_refuses_in_words(
    name: str, step: int, steps: int, warmup: float, decay: float, says: str
) -> None:
    with pytest.raises(WindtunnelError, match=says):
        schedule_multiplier(name, step, steps, warmup_fraction=warmup, decay_fraction=decay)


def test_examples_in_the_docstrings() -> None:
    """Every public function that a person calls with numbers has one."""
    without = {f"windtunnel.schedules.{name}" for name in ("settings", "autolrs")}
    for module in pkgutil.iter_modules(schedules.__path__, "windtunnel.schedules."):
        failed, tried = doctest.testmod(importlib.import_module(module.name))
        assert (failed, tried > 0) == (0, module.name not in without), module.name
    failed, tried = doctest.testmod(schedules)
    assert tried > 0
    assert failed == 0


def test_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, windtunnel.schedules; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
