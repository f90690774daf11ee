"""Amounts as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.laws.quantity import parse_point, parse_quantity

READ = {
    "1.3B": (1.3e9, ""),
    "350M": (3.5e8, ""),
    "2e12": (2e12, ""),
    "2E+12": (2e12, ""),
    "1,000,000": (1e6, ""),
    "1_000_000": (1e6, ""),
    "7b params": (7e9, "params"),
    "300B tokens": (3e11, "tokens"),
    "1.5T": (1.5e12, ""),
    "1.5 trillion tokens": (1.5e12, "tokens"),
    "1e21 FLOPs": (1e21, "FLOPs"),
    "3 ZFLOPs": (3e21, "FLOPs"),
    "12.5 PF-days": (12.5 * 8.64e19, "FLOPs"),
    "1 petaflop/s-day": (8.64e19, "FLOPs"),
    "50%": (0.5, "%"),
    "2 h": (7200.0, "seconds"),
    "3x10^9": (3e9, ""),
    "10^21": (1e21, ""),
    "-0.5": (-0.5, ""),
    "\u22122": (-2.0, ""),
    ".5": (0.5, ""),
    " 42 ": (42.0, ""),
}
REFUSED = {
    "": "not a number",
    "big": "not a number",
    "1,5": "two ways",
    "1,0000": "two ways",
    "1.000.000": "unknown unit",
    "1e9B": "two ways",
    "8x7B": "unknown unit",
    "1-2B": "unknown unit",
    "1.3 bananas": "unknown unit",
    "1e999": "too large",
    "1__0": "not a number",
    "~7B": "not a number",
}


@pytest.mark.parametrize("text", READ)
def test_amounts(text: str) -> None:
    value, unit = READ[text]
    found = parse_quantity(text)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.unit == unit


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(WindtunnelError, match=REFUSED[text]) as raised:
        parse_quantity(text)
    assert "\n" not in str(raised.value)


@given(st.floats(1e-3, 1e30), st.sampled_from(["", "k", "M", "B", "T", " billion", "e6"]))
def test_a_suffix_is_a_factor(number: float, suffix: str) -> None:
    factor = {"": 1, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, " billion": 1e9, "e6": 1e6}[suffix]
    text = f"{number:.30f}".rstrip("0") + suffix
    assert parse_quantity(text).value == pytest.approx(number * factor, rel=1e-9)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        assert math.isfinite(parse_quantity(text).value)
    except WindtunnelError as error:
        assert str(error).isprintable()


def test_points() -> None:
    assert parse_point("params=7B,tokens=2T") == {"params": 7e9, "tokens": 2e12}
    assert parse_point("N=7e9, D = 2e12") == {"params": 7e9, "tokens": 2e12}
    assert parse_point("params=1,300,000,000,experts=8") == {"params": 1.3e9, "experts": 8.0}
    assert parse_point("flops=12.5 PF-days") == {"flops": pytest.approx(1.08e21)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "NAME=VALUE"),
        ("7B", "NAME=VALUE"),
        ("params=", "NAME=VALUE"),
        ("params=7B tokens=2T", "params: '7B tokens=2T' has an unknown unit"),
        ("params=7B,params=8B", "twice"),
        ("params=7B,N=8B", "twice"),
        ("params=-7B", "not above 0"),
        ("tokens=0", "not above 0"),
        ("params=2T tokens", "in tokens, not in params"),
        ("params=nan", "params: 'nan' is not a number"),
    ],
)
def test_points_that_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(WindtunnelError) as raised:
        parse_point(text)
    assert words in str(raised.value)


@given(st.text(max_size=60))
def test_any_point_is_read_or_refused(text: str) -> None:
    try:
        assert all(value > 0 for value in parse_point(text).values())
    except WindtunnelError as error:
        assert str(error).isprintable()
