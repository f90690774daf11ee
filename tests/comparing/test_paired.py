from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from windtunnel.comparing.paired import direction, paired_losses, paired_mean

INF = math.inf


def test_the_t_range_and_p_are_scipys():
    values = np.array([0.1, -0.3, 0.2, 0.4, 0.5, 0.05])
    found = paired_mean(values)
    theirs = stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.ci90 == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    assert (found.seeds, found.test) == (6, "paired t")


def test_from_eight_seeds_signs_are_flipped():
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 1000])
    found = paired_mean(values)
    assert (found.test, found.p) == ("sign flips", 2 / 256)
    assert stats.ttest_1samp(values, 0).pvalue > 0.3  # which one far value spoils


def test_losses_are_compared_as_ratios():
    found = paired_losses([2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.5, 2.0, 2.5, 3.0])
    assert found.mean == pytest.approx(math.log(2))
    assert found.sd == pytest.approx(0) and found.p < 1e-6
    same = paired_losses([2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 3.0, 4.0, 5.0, 6.0])
    assert (same.mean, same.p) == (0, 1)


def test_a_diverged_run_is_above_all_losses():
    second = [2.0] * 6
    found = paired_losses([2.1, 2.1, 2.2, 2.3, INF, 2.4], second)
    assert (found.mean, found.ci90, found.diverged) == (None, None, (1, 0))
    assert (found.test, found.p) == ("signed ranks", 2 / 64)
    assert direction([2.1, 2.1, 2.2, 2.3, INF, 2.4], second, found) > 0
    # The best in five of six, but lost in the sixth: ranks say nothing.
    mixed = paired_losses([1.9, 1.9, 1.8, 1.9, INF, 1.9], second)
    assert mixed.p > 0.3


def test_both_diverged_is_no_difference():
    found = paired_losses([INF, 1.0, 1.0, 1.0, 1.0, 1.0], [INF, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert found.diverged == (1, 1) and found.p == 2 / 32
    assert direction([INF, 1.0, 1.0], [INF, 2.0, 2.0], found) < 0


def test_all_diverged_against_none_needs_no_sixth_seed():
    found = paired_losses([INF] * 5, [2.0] * 5)
    table = stats.fisher_exact([[5, 0], [0, 5]])
    assert (found.test, found.p) == ("all against none", pytest.approx(table.pvalue))


def test_false_positives_stay_at_the_level():
    draw = np.random.default_rng(0)
    for seeds in (5, 8):
        shown = [paired_mean(draw.normal(0, 1, seeds)).p <= 0.05 for _ in range(1500)]
        assert 0.03 < np.mean(shown) < 0.07
