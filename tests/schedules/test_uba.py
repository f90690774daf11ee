"""The unified budget-aware curve: its closed form and the identities that pin it down."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.cosine import cosine
from windtunnel.schedules.uba import unified_budget_aware


def uba(step: int, steps: int, phi: float, final: float = 0, warmup: float = 0) -> float:
    return unified_budget_aware(
        step, steps, warmup_fraction=warmup, decay_fraction=0, phi=phi, final=final
    )


@given(st.integers(1, 300), st.floats(1e-3, 100), st.floats(0, 1), st.data())
def test_the_closed_form(steps: int, phi: float, final: float, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, steps - 1))
    up = 1 + math.cos(math.pi * step / steps)
    height = 2 * up / (2 * phi + (2 - phi) * up)
    assert uba(step, steps, phi, final) == pytest.approx(final + (1 - final) * height)


@given(st.integers(1, 300), st.floats(0, 0.9))
def test_two_is_the_cosine(steps: int, warmup: float) -> None:
    for step in range(steps):
        wave = cosine(step, steps, warmup_fraction=warmup, decay_fraction=0)
        assert uba(step, steps, 2, warmup=warmup) == pytest.approx(wave)


@pytest.mark.parametrize("phi", [0.1, 0.5, 1, 2, 6])
def test_half_way_down(phi: float) -> None:
    assert uba(50, 100, phi) == pytest.approx(2 / (2 + phi))


def test_a_larger_phi_decays_earlier_and_a_small_one_stays_up_until_the_end() -> None:
    assert uba(20, 100, 5) < uba(20, 100, 2) < uba(20, 100, 0.5)
    assert uba(90, 100, 1e-6) > 0.99


def test_phi_must_be_positive() -> None:
    with pytest.raises(WindtunnelError, match="phi: 0 is not above 0"):
        uba(0, 1, 0)
