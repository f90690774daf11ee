from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.report.formatting import (
    NOTHING,
    amount,
    duration,
    factor,
    fixed,
    interval,
    moment,
    power_of_two,
    quantity,
    scientific,
    significant,
)

MINUS = "\u2212"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.011, "0.0110"),
        (1.25, "1.25"),
        (0.09996, "0.100"),
        (1234.0, "1,234"),
        (-0.5, f"{MINUS}0.500"),
        (0, "0"),
        (None, NOTHING),
        (3.2e-9, "3.20 \u00d7 10\u207b\u2079"),
    ],
)
def test_significant(value, text):
    assert significant(value) == text


@given(st.floats(1e-12, 1e12), st.integers(2, 6))
def test_significant_is_true_to_its_digits(value, digits):
    plain = significant(value, digits).translate(
        str.maketrans(
            "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "-0123456789"
        )
    )
    read = float(re.sub(r" \u00d7 10(.*)", r"e\1", plain).replace(",", ""))
    assert math.isclose(read, value, rel_tol=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("value", "text"),
    [(960, "960"), (24_600, "24.6k"), (2_500_000, "2.5M"), (999_999, "1M"), (1.2e9, "1.2B")],
)
def test_amount(value, text):
    assert amount(value) == text


@given(st.floats(1, 1e14))
def test_amount_is_within_half_a_percent(value):
    text = amount(value)
    size = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1], 1.0)
    assert math.isclose(float(text.rstrip("kMBT")) * size, value, rel_tol=5.1e-3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (9.97, "10 s"),
        (59.6, "1 min 00 s"),
        (485, "8 min 05 s"),
        (12_000, "3 h 20 min"),
        (None, NOTHING),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.25, "1/4"), (4.0, "4"), (1 / 3, "1/3"), (0.5**0.5, "0.707"), (0.0, "0")],
)
def test_factor(value, text):
    assert factor(value) == text


def test_the_rest():
    assert power_of_two(2**-6) == "2\u207b\u2076"
    assert power_of_two(2**-6.5) == f"2^{MINUS}6.5"
    assert scientific(4.1e14) == "4.1 \u00d7 10\u00b9\u2074"
    assert fixed(0.1, 2, sign=True) == "+0.10"
    assert interval((-0.28, 0.07), 2, sign=True) == f"{MINUS}0.28 to +0.07"
    assert interval((None, None)) == NOTHING
    assert moment("2026-11-21T06:00:00+00:00") == "21 November 2026, 06:00 UTC"
    assert moment("some day") == "some day"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (960, "960"),
        (1.4e12, "1.4\u202fT"),
        (999_600, "1\u202fM"),
        (123_456, "123\u202fk"),
        (5.88e23, "5.88\u00a0\u00d7\u00a010\u00b2\u00b3"),
        (1e18, "10\u00b9\u2078"),
        (0.365, "0.365"),
    ],
)
def test_quantities_never_show_a_computers_power_of_ten(value, text):
    assert quantity(value) == text


def test_fewer_digits_keep_the_places_before_the_point():
    assert quantity(123_456, 2) == "120\u202fk"
