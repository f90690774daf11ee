"""The Power schedule against the paper's numbers and formula."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.power import power

SEQUENCE = 4096


def rate(step: int, steps: int, warmup: float = 0, decay: float = 0, **settings: Any) -> float:
    lr = settings.setdefault("lr", 0.02)
    return lr * power(step, steps, warmup_fraction=warmup, decay_fraction=decay, **settings)


def test_the_paper_s_example() -> None:
    """Batch 1024 sequences, 10 trillion tokens, a = 4.6: they state 0.0011 (section 4)."""
    batch = 1024 * SEQUENCE
    last = round(1e13 / batch) - 1
    found = rate(last, last + 1, batch_units=batch, amplitude=4.6)
    assert round(found, 4) == 0.0011
    assert found == pytest.approx(1024 * 4.6 * 1e13**-0.51, rel=1e-6)


def test_the_constants_are_the_paper_s() -> None:
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(power).parameters.items()
    }
    assert (defaults["amplitude"], defaults["exponent"], defaults["sequence_units"]) == (
        4.0,
        -0.51,
        4096,
    )
    batch = 128 * SEQUENCE
    assert rate(1999, 2000, batch_units=batch) == pytest.approx(
        4 * 128 * (2000 * batch) ** -0.51, rel=1e-12
    )


def test_where_the_ceiling_ends() -> None:
    """n* = (lr / (B a))^(1 / b): at a batch of 128 sequences about 4.4e8 tokens."""
    batch = 128 * SEQUENCE
    border = (0.02 / (128 * 4)) ** (1 / -0.51)
    assert border == pytest.approx(4.4e8, rel=0.02)
    step = round(border / batch)
    assert rate(step - 3, 10**6, batch_units=batch) == 0.02
    assert rate(step + 3, 10**6, batch_units=batch) < 0.02


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([1, 2, 4]))
def test_the_rate_is_of_tokens_and_batch_alone(step: int, more: int, batch: int) -> None:
    """One curve for every length; k times the batch at the same tokens is k times the rate."""
    units = batch * SEQUENCE
    here = rate(step, step + more, batch_units=units, lr=1e9)
    assert here == rate(step, step + more + 100, batch_units=units, lr=1e9)
    n = (step + 1) * units
    assert here == pytest.approx(batch * 4 * n**-0.51)


def test_the_base_rate_is_a_ceiling_only() -> None:
    low = [rate(step, 100, batch_units=SEQUENCE, lr=0.01) for step in range(100)]
    high = [rate(step, 100, batch_units=SEQUENCE, lr=0.02) for step in range(100)]
    assert low == pytest.approx([min(0.01, value) for value in high])


@given(st.integers(0, 399), st.floats(1e-4, 1), st.sampled_from([1, 2, 4]))
def test_units_at_the_full_rate_instead_of_an_amplitude(step: int, lr: float, batch: int) -> None:
    flat, units = 100.0 * SEQUENCE, batch * SEQUENCE
    tuned_by_lr = rate(step, 400, 0.1, 0.2, batch_units=units, lr=lr, flat_units=flat)
    amplitude = lr / (batch * flat**-0.51)
    same = rate(step, 400, 0.1, 0.2, batch_units=units, lr=lr, amplitude=amplitude)
    assert tuned_by_lr == pytest.approx(same)
    if 40 <= step < 320:
        n = (step + 1) * units
        assert tuned_by_lr == pytest.approx(lr * min(1, (n / flat) ** -0.51))


def test_warm_up_to_the_curve_and_decay_from_it() -> None:
    batch = SEQUENCE
    found = [rate(step, 10, 0.4, 0.2, batch_units=batch, lr=1, amplitude=1) for step in range(10)]

    def law(n: int) -> float:
        return float((n * batch) ** -0.51)

    rise = [law(4) * s / 4 for s in (1, 2, 3, 4)]
    assert found == pytest.approx(
        [*rise, *(law(s) for s in (5, 6, 7, 8)), law(9), law(9) / 2], rel=1e-12
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lr": 0.0}, "lr: 0 is not above 0"),
        ({"amplitude": -1.0}, "amplitude: -1 is not above 0"),
        ({"sequence_units": 0}, "sequence_units: 0 is not above 0"),
        ({"flat_units": -1.0}, "flat_units: -1 is no number of units"),
        ({"exponent": 0.51}, "exponent: 0.51 is not below 0"),
    ],
)
def test_refuses_in_words(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        rate(0, 10, **{"batch_units": 64, **settings})
