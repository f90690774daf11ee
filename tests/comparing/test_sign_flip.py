from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from windtunnel.comparing.sign_flip import least_p, sign_flip_p


def slowly(differences: list[float]) -> float:
    """Every flip, one after the other."""
    observed = abs(sum(differences))
    room = 1e-9 * sum(map(abs, differences))
    flips = itertools.product((-1, 1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flips]
    return sum(total >= observed - room for total in sums) / len(sums)


def test_known_answers():
    assert sign_flip_p([1, 2, 3, 4, 5, 6, 7, 8]) == least_p(8) == 2 / 256
    assert sign_flip_p([1, -1]) == 1
    # |sum| >= 4 of +-1 +-2 +-3: 6 and 4, and their negatives.
    assert sign_flip_p([-1, 2, 3]) == 4 / 8


@given(st.lists(st.floats(-5, 5).map(lambda value: round(value, 2)), min_size=1, max_size=9))
def test_equal_to_every_flip_one_by_one(differences):
    assert sign_flip_p(differences) == pytest.approx(slowly(differences), abs=1e-12)


def test_equal_to_scipys_exact_permutations():
    drawn = np.random.default_rng(3).normal(0.4, 1, 11)
    theirs = stats.permutation_test(
        (drawn,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flip_p(drawn) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_forty_pairs_are_exact_as_well():
    assert sign_flip_p(np.arange(1.0, 41)) == pytest.approx(least_p(40))


@pytest.mark.parametrize("differences", [[], [np.nan], [np.inf, 1], [0.1] * 41])
def test_what_it_cannot_test(differences):
    with pytest.raises(ValueError, match="1 to 40 finite"):
        sign_flip_p(differences)
