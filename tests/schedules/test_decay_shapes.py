"""Each shape at points worked by hand, its ends, and its refusals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.decay_shapes import SHAPES, decayed


@pytest.mark.parametrize(
    ("shape", "through", "final", "expected"),
    [
        ("linear", 0.25, 0, 0.75),
        ("linear", 0.25, 0.2, 0.8),
        ("cosine", 1 / 3, 0, 0.75),
        ("cosine", 0.5, 0.1, 0.55),
        ("1-sqrt", 0.25, 0, 0.5),
        ("1-sqrt", 0.49, 0.5, 0.65),
        ("square", 0.5, 0, 0.75),
        ("square", 0.9, 0.1, 0.271),
        ("mirror-cosine", 0.25, 0, 1.5 - (1 + math.sqrt(0.5)) / 2),
        ("mirror-cosine", 0.5, 0, 0.5),
        ("half-exponential", 0.5, 0, math.sqrt(2) - 1),
        ("half-exponential", 0.5, 0.1, 0.1 + 0.9 * (math.sqrt(2) - 1)),
        ("exponential", 0.5, 0.01, 0.1),
        ("exponential", 0.25, 0.0001, 0.1),
    ],
)
def test_values_worked_by_hand(shape: str, through: float, final: float, expected: float) -> None:
    assert decayed(shape, 1 - through, final) == pytest.approx(expected, rel=1e-12)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_definitions_of_hagele_and_others_and_of_megatron(r: float, z: float) -> None:
    """Written as in the papers; ours are rearranged to keep their digits near the end."""
    wave = (1 + math.cos(math.pi * r)) / 2
    definitions = {
        "linear": 1 - r,
        "cosine": wave,
        "1-sqrt": 1 - math.sqrt(r),
        "square": 1 - r**2,
        "mirror-cosine": 2 * (1 - r) - wave,
        "half-exponential": 2 * 0.5**r - 1,
    }
    for shape, height in definitions.items():
        # 1 - (1 - r) loses the small r that the root magnifies.
        assert decayed(shape, 1 - r, z) == pytest.approx(z + (1 - z) * height, abs=2e-8), shape
    assert {*definitions, "exponential"} == set(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_from_one_to_the_final_share(shape: str) -> None:
    assert decayed(shape, 1, 0.3) == pytest.approx(1)
    assert decayed(shape, 0, 0.3) == pytest.approx(0.3)
    assert decayed(shape, 1e-9, 1e-12) > 0


@pytest.mark.parametrize(
    ("shape", "final", "says"),
    [
        ("stairs", 0, "shape: no 'stairs'; choose from linear, cosine, 1-sqrt"),
        ("exponential", 0, "final: an exponential never reaches 0"),
        ("linear", -0.1, "final: -0.1 is no share of the peak"),
        ("cosine", 1.1, "final: 1.1 is no share of the peak"),
        ("cosine", math.nan, "final: nan is no share of the peak"),
    ],
)
def test_refuses_in_words(shape: str, final: float, says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        decayed(shape, 0.5, final)
