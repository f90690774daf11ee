"""Warmup-stable-decay with shapes and a final share, beside the line that test_schedules has."""

from __future__ import annotations

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.wsd import warmup_stable_decay


def curve(**settings: float | str) -> list[float]:
    return [
        warmup_stable_decay(step, 10, warmup_fraction=0.2, decay_fraction=0.4, **settings)  # type: ignore[arg-type]
        for step in range(10)
    ]


def test_shapes_start_at_one_and_end_a_step_after_the_last() -> None:
    before = [0.5, 1, 1, 1, 1, 1]
    assert curve(shape="1-sqrt") == pytest.approx(
        [*before, 1, 0.5, 1 - 0.5**0.5, 1 - 0.75**0.5], rel=1e-12
    )
    assert curve(shape="square", final=0.2) == pytest.approx(
        [*before, 1, 0.95, 0.8, 0.55], rel=1e-12
    )
    assert curve(shape="exponential", final=0.0001) == pytest.approx(
        [*before, 1, 0.1, 0.01, 0.001], rel=1e-12
    )


def test_minicpm_s_half_life_is_in_steps() -> None:
    assert curve(shape="half-life", half_life=2) == pytest.approx(
        [0.5, 1, 1, 1, 1, 1, 1, 0.5**0.5, 0.5, 0.5**1.5]
    )
    halved = warmup_stable_decay(
        10_000, 20_000, warmup_fraction=0, decay_fraction=0.75, shape="half-life"
    )
    assert halved == 0.5  # 5000 steps into the decay


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"shape": "half-life", "half_life": 0}, "half_life: 0 is no number of steps above 0"),
        ({"shape": "steps"}, "no 'steps'"),
        ({"final": 2}, "final: 2 is no share"),
    ],
)
def test_refuses_in_words_on_the_first_step(settings: dict[str, float | str], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        curve(**settings)
