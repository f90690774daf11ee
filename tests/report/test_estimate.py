from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.report.estimate import Estimate

WORK = st.floats(1e-3, 1e15)


@given(WORK, st.floats(0.01, 0.99), st.floats(0.1, 1e5))
def test_at_an_even_pace_it_is_right(total, share, took):
    estimate = Estimate(total=total, completed=0.0, started=100.0)
    estimate.advance(share * total, total, now=100.0 + took)
    assert estimate.remaining(100.0 + took) == pytest.approx(took * (1 - share) / share, rel=1e-6)


def test_what_an_earlier_process_did_is_no_pace():
    estimate = Estimate(total=100.0, completed=80.0, started=0.0)
    assert estimate.remaining(5.0) is None
    estimate.advance(90.0, 100.0, now=10.0)
    assert estimate.remaining(10.0) == pytest.approx(10.0)


def test_it_counts_down_between_updates_and_stops_at_zero():
    estimate = Estimate(total=2.0, completed=0.0, started=0.0)
    estimate.advance(1.0, 2.0, now=10.0)
    assert [estimate.remaining(now) for now in (10.0, 14.0, 30.0)] == [10.0, 6.0, 0.0]


def test_an_update_that_brings_nothing_new_does_not_reset_the_count():
    estimate = Estimate(total=2.0, completed=0.0, started=0.0)
    estimate.advance(1.0, 2.0, now=10.0)
    estimate.advance(1.0, 2.0, now=13.0)
    assert estimate.remaining(13.0) == pytest.approx(7.0)


def test_a_total_that_grows_takes_longer():
    estimate = Estimate(total=2.0, completed=0.0, started=0.0)
    estimate.advance(1.0, 4.0, now=10.0)
    assert estimate.remaining(10.0) == pytest.approx(30.0)
    assert estimate.share == 0.25


def test_nothing_to_do_is_done():
    assert Estimate(total=0.0, completed=0.0, started=0.0).share == 1.0
    assert Estimate(total=0.0, completed=0.0, started=0.0).remaining(3.0) == 0.0
