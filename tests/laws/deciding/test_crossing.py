from __future__ import annotations

import numpy as np
import pytest

from windtunnel.laws.deciding.crossing import crossing

PLACES = np.geomspace(1e9, 1e13, 41)


def line(zero):
    """First less second: above 0 before the place, below 0 after it."""
    return np.log(zero / PLACES)


def test_the_place_its_range_and_who_is_better_above():
    drawn = np.array([line(zero) for zero in np.geomspace(1e10, 1e12, 101)])
    found = crossing("tokens", PLACES, line(1e11), drawn, near=1e12)
    assert found.at.value == pytest.approx(1e11)
    assert found.at.ci90 == pytest.approx((10**10.1, 10**11.9))
    assert (found.share, found.beyond) == (1.0, "first")
    assert crossing("tokens", PLACES, -line(1e11), -drawn, near=1e12).beyond == "second"


def test_draws_that_do_not_cross_open_the_end_on_their_side():
    inside = [line(1e11)] * 80
    below, above = [line(1e8)] * 10, [line(1e14)] * 10
    found = crossing("tokens", PLACES, line(1e11), np.array(inside + below), near=1e12)
    assert found.at.ci90 == (0.0, found.at.value)
    assert "below 1e+09 to 1e+11" in found.words(("A", "B"))
    found = crossing("tokens", PLACES, line(1e11), np.array(inside + above), near=1e12)
    assert found.at.ci90 == (found.at.value, np.inf)
    assert "1e+11 to beyond 1e+13" in found.words(("A", "B"))
    assert found.share == pytest.approx(80 / 90)
    assert found.to_json()["at"]["ci90"][1] is None


def test_of_two_places_the_nearer_to_the_target_counts():
    wave = line(1e10) * line(1e12)
    assert crossing("flops", PLACES, wave, wave[None], near=2e12).at.value == pytest.approx(
        1e12, rel=0.05
    )


def test_nothing_crosses():
    found = crossing("flops", PLACES, line(1e8), np.array([line(1e8), line(1e10)]), near=1e12)
    assert found.at is None
    assert found.share == 0.5
    assert found.words(("A", "B")) == ""
