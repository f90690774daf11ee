from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.arithmetic import evaluate
from windtunnel.errors import WindtunnelError

SIZES = {"width": 64.0, "depth": 3.0}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("12 * depth * width**2", 12 * 3 * 64**2),
        (" (width + 1) / 2 - -depth ", 35.5),
        ("1e6", 1e6),
        ("2**-1", 0.5),
    ],
)
def test_by_hand(formula: str, value: float) -> None:
    assert evaluate(formula, SIZES) == value


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("heads * width", "no 'heads'; there are width, depth"),
        ("12 * depth *", "is no formula such as 12"),
        ("", "is no formula such as 12"),
        ("__import__('os').system('true')", "only numbers, names"),
        ("width.real", "only numbers, names"),
        ("[1][0]", "only numbers, names"),
        ("'a' * 3", "only numbers, names"),
        ("1 / (width - 64)", "division by zero"),
        ("width ** depth ** 99", "too large|no finite"),
        ("(0 - 2) ** 0.5", "a root of a negative number"),
        ("1 +" * 100 + "1", "longer than 200"),
    ],
)
def test_anything_else_is_refused(formula: str, words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        evaluate(formula, SIZES)


@given(st.text(max_size=60))
def test_no_text_does_more_than_arithmetic(formula: str) -> None:
    try:
        assert isinstance(evaluate(formula, SIZES), float)
    except WindtunnelError as error:
        assert "\n" not in str(error).replace(repr(formula), "").replace(formula, "")
