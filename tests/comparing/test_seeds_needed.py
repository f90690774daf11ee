from __future__ import annotations

import numpy as np
import pytest

from windtunnel.comparing.paired import paired_mean
from windtunnel.comparing.seeds_needed import power, seeds_for, seeds_needed


def share_shown(seeds: int, effect: float, alpha: float) -> float:
    draw = np.random.default_rng(1)
    rows = draw.normal(effect, 1, (1500, seeds))
    return float(np.mean([paired_mean(row).p <= alpha for row in rows]))


@pytest.mark.parametrize(("effect", "alpha"), [(2.0, 0.05), (1.0, 0.05), (0.9, 0.0125)])
def test_as_many_seeds_as_simulation_says(effect, alpha):
    seeds = seeds_for(effect, 1.0, alpha=alpha)
    assert share_shown(seeds, effect, alpha) == pytest.approx(
        power(seeds, effect, 1.0, alpha), abs=0.04
    )
    assert share_shown(seeds, effect, alpha) > 0.77
    if seeds > 5:
        assert power(seeds - 1, effect, 1.0, alpha) < 0.8


def test_the_textbooks_number():
    assert seeds_for(0.5, 1.0) == 34  # paired t, two-sided 5 %, power 80 %, d = 0.5
    assert seeds_for(0.01, 1.0) is None


def test_never_fewer_than_a_test_needs():
    assert seeds_for(100.0, 1.0) == 5
    # Eight to ten seeds can't give a p of 0.1 %; seven by t and eleven by flips can.
    assert seeds_for(2.3, 1.0, alpha=0.001) == 11


def test_five_seeds_hardly_know_their_own_spread():
    found = seeds_needed(1.0, 1.0, 5)
    low, high = found.ci90
    assert low < found.seeds < high
    assert found.seeds > seeds_for(1.0, 1.0)
    assert high > 3 * found.seeds


@pytest.mark.parametrize("effect", [1.0, 0.7])
def test_seeds_stated_from_a_pilot_show_the_effect_four_times_in_five(effect):
    pilots = np.sqrt(np.random.default_rng(0).chisquare(4, 60) / 4)
    shown = [power(seeds_needed(effect, sd, 5).seeds, effect, 1.0, 0.05) for sd in pilots]
    assert 0.8 < np.mean(shown) < 0.9
    plain = [power(seeds_for(effect, sd), effect, 1.0, 0.05) for sd in pilots]
    assert np.mean(plain) < 0.8


@pytest.mark.parametrize(("seeds", "effect"), [(155, 0.9), (1000, 3.0), (1000, 100.0), (5, 50.0)])
def test_the_chance_of_a_large_effect_is_a_number(seeds, effect):
    assert power(seeds, effect, 1.0, 0.0125) > 0.999
