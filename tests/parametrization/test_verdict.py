from __future__ import annotations

import pytest

from windtunnel.parametrization.verdict import AxisCheck, judge

SIZES = (32, 64, 128)
STEPS = 2


def judged(level: frozenset[str] = frozenset(), noise: float = 0.01, **slopes: float) -> AxisCheck:
    """A verdict on invented measurements; `down__own_update__2` is a module, quantity and step."""
    measured = {}
    for size in SIZES:
        for seed in (0, 1, 2):
            wobble = 1 + noise * ((seed + size // 32) % 3 - 1)
            run = {}
            for key, slope in slopes.items():
                module, quantity, step = key.split("__")
                run[module, quantity.replace("_", " "), int(step)] = size**slope * wobble
            measured[size, seed] = run
    return judge("width", SIZES, measured, STEPS, level)[1]


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "pass"), (0.25, "pass"), (0.5, "fail")])
@pytest.mark.parametrize("side", [1, -1])
def test_own_updates_are_judged_on_both_sides(slope: float, verdict: str, side: int) -> None:
    assert judged(down__own_update__2=side * slope).verdict == verdict


def test_noise_that_hides_the_smallest_mistake_cannot_say() -> None:
    found = judged(noise=0.9, down__own_update__2=0.2)
    assert found.verdict == "cannot say"
    assert "does not exclude a mistake of 0.5" in found.reason


def test_the_first_own_update_in_the_forward_pass_is_named_not_the_largest() -> None:
    found = judged(up__own_update__2=0.8, down__own_update__2=1.3, down__update__2=1.5)
    assert found.modules == ("up", "down")
    assert found.reason.startswith("up's own update at step 2 scales as width^+0.80")
    assert found.reason.endswith("also beyond it: down")


def test_a_wrong_first_output_is_named_before_own_updates() -> None:
    slopes = {"up__own_update__2": 0.8, "value__activation__0": 0.5}
    found = judged(frozenset({"value"}), **slopes)
    assert found.modules == ("value", "up")


@pytest.mark.parametrize(("level", "verdict"), [({"blocks.*.up"}, "fail"), ((), "pass")])
def test_at_initialisation_only_what_must_be_level_is_judged(level, verdict: str) -> None:
    slopes = {"blocks.0.up__activation__0": -0.5, "out__update__2": 0.0}
    assert judged(frozenset(level), **slopes).verdict == verdict


def test_an_update_may_shrink_where_the_own_update_does_not_and_must_not_elsewhere() -> None:
    assert judged(query__own_update__2=0.0, query__update__2=-0.5).verdict == "pass"
    assert judged(output__update__2=-0.5, query__own_update__2=0.0).verdict == "fail"


def test_growth_is_judged_at_every_step_and_shrinking_at_the_last() -> None:
    assert judged(output__update__1=0.8, output__update__2=0.0).verdict == "fail"
    assert judged(output__update__1=-0.8, output__update__2=0.0).verdict == "pass"
    assert judged(output__activation__2=-0.8, output__update__2=0.0).verdict == "pass"
