"""Every schedule: hand-worked values, the shared convention as properties, and clear refusals."""

from __future__ import annotations

import doctest
import importlib
import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules import SCHEDULES, schedule_multiplier

names = st.sampled_from(sorted(SCHEDULES))
step_counts = st.one_of(st.integers(1, 4), st.integers(1, 300))


@st.composite
def shares(draw: st.DrawFn) -> tuple[float, float]:
    """Two shares of one run: a warm-up and a decay that fits beside it."""
    warmup = draw(st.floats(0, 1))
    return warmup, draw(st.floats(0, 1 - warmup))


def curve(name: str, steps: int, warmup: float, decay: float) -> list[float]:
    return [
        schedule_multiplier(name, step, steps, warmup_fraction=warmup, decay_fraction=decay)
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


@given(names, step_counts, shares())
@example("wsd", 3, (0.5, 0.5))
@example("linear", 25, (0.1, 0.3))
def test_every_step_moves_the_weights_and_none_exceeds_the_peak(
    name: str, steps: int, fractions: tuple[float, float]
) -> None:
    assert all(0 < multiplier <= 1 for multiplier in curve(name, steps, *fractions))


@given(names, step_counts, shares())
def test_rises_in_equal_steps_to_one_then_never_rises_again(
    name: str, steps: int, fractions: tuple[float, float]
) -> None:
    multipliers = curve(name, steps, *fractions)
    warmup = round(fractions[0] * steps)
    rise, rest = multipliers[:warmup], multipliers[warmup:]
    assert rise == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    assert all(later <= earlier for earlier, later in pairwise(rest))
    if rest:
        assert rest[0] == 1


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
        ("stairs", 0, 10, 0.1, 0.3, "no 'stairs'; choose from wsd, cosine, linear"),
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


@pytest.mark.parametrize("module", ["", ".cosine", ".linear", ".phases", ".wsd"])
def test_examples_in_the_docstrings(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"windtunnel.schedules{module}"))
    assert tried > 0
    assert failed == 0


def test_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, windtunnel.schedules; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
