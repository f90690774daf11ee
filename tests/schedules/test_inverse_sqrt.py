"""The rate of Vaswani et al. over its peak, and T5's."""

from __future__ import annotations

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.inverse_sqrt import inverse_sqrt


def curve(steps: int, warmup: float, flat_steps: int = 0) -> list[float]:
    return [
        inverse_sqrt(step, steps, warmup_fraction=warmup, decay_fraction=0, flat_steps=flat_steps)
        for step in range(steps)
    ]


def test_vaswani_and_others_section_5_3() -> None:
    """512^-0.5 * min(s^-0.5, s * 4000^-1.5) over its value at s = 4000."""
    found = curve(16_000, 0.25)
    for s in (1, 1000, 4000, 9000, 16_000):
        rate = 512**-0.5 * min(s**-0.5, s * 4000**-1.5)
        assert found[s - 1] == pytest.approx(rate / (512**-0.5 * 4000**-0.5), rel=1e-12)


def test_values_worked_by_hand() -> None:
    assert curve(9, 1 / 9) == pytest.approx([s**-0.5 for s in range(1, 10)])
    assert curve(4, 0) == pytest.approx([1, 2**-0.5, 3**-0.5, 0.5])
    assert curve(16, 0, flat_steps=4) == pytest.approx(
        [1, 1, 1, 1, *((4 / s) ** 0.5 for s in range(5, 17))]
    )


def test_t5_is_the_same_curve_at_every_length() -> None:
    assert curve(1000, 0, flat_steps=100)[:500] == curve(500, 0, flat_steps=100)


def test_a_negative_flat_part_is_refused() -> None:
    with pytest.raises(WindtunnelError, match="flat_steps: -1 is no number of steps"):
        curve(4, 0, flat_steps=-1)
