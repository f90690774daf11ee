from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.laws.folds import COMPUTE, distance, rolling_origins


def test_distance_by_hand() -> None:
    measured = {"params": np.array([1.0, 2.0]), "tokens": np.array([20.0, 10.0])}
    at = {
        "params": np.array([1.0, 2.0, 4.0, 1.0, 4.0]),
        "tokens": np.array([5.0, 20.0, 1.0, 60.0, 80.0]),
    }
    # Products: 20 at most. Inside; a corner that no run reached; a long way along one axis
    # although the product is small; the same along the other; and both.
    np.testing.assert_allclose(distance(measured, at), np.log([1, 2, 2, 3, 16]), atol=1e-12)


def test_one_input_is_cut_at_its_own_values() -> None:
    values = np.arange(1.0, 11.0)
    folds = rolling_origins({"flops": values}, np.arange(10), least_rows=4, least_values={})
    assert [(fold.axis, fold.at) for fold in folds] == [("flops", at) for at in (4.0, 5, 7, 8)]
    first = folds[0]
    assert np.flatnonzero(first.fitted).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(first.foretold).tolist() == [4, 5, 6, 7, 8, 9]
    np.testing.assert_allclose(first.distance, np.log(np.maximum(values / 4, 1)))


@pytest.mark.parametrize(
    ("least_rows", "least_values", "cuts"), [(6, 0, [7, 8]), (1, 5, [5, 7, 8])]
)
def test_too_little_below_a_cut_is_no_fold(
    least_rows: int, least_values: int, cuts: list[int]
) -> None:
    values = {"flops": np.arange(1.0, 11.0)}
    needed = {"flops": least_values} if least_values else {}
    folds = rolling_origins(values, np.arange(10), least_rows=least_rows, least_values=needed)
    assert [fold.at for fold in folds] == cuts


def test_a_run_that_goes_on_above_the_cut_is_not_fitted_below_it() -> None:
    values, groups = np.arange(1.0, 11.0), np.array([0, 1, 2, 3, 1, 4, 5, 6, 7, 8])
    first = rolling_origins({"tokens": values}, groups, least_rows=1, least_values={})[0]
    assert first.at == 4
    assert np.flatnonzero(first.fitted).tolist() == [0, 2, 3]  # row 1 is of row 4's run
    assert np.flatnonzero(first.foretold).tolist() == [4, 5, 6, 7, 8, 9]


def test_the_product_is_cut_too_and_no_split_comes_twice() -> None:
    params, tokens = (v.ravel() for v in np.meshgrid([1.0, 2, 4, 8], [10.0, 20, 40, 80]))
    folds = rolling_origins(
        {"params": params, "tokens": tokens}, np.arange(16), least_rows=4, least_values={}
    )
    assert {fold.axis for fold in folds} == {"params", "tokens", COMPUTE}
    assert len({fold.fitted.tobytes() for fold in folds}) == len(folds)
    same = rolling_origins(
        {"params": params, "tokens": params * 20}, np.arange(16), least_rows=4, least_values={}
    )
    assert {fold.axis for fold in same} == {"params"}  # all three order the runs alike


def test_a_column_of_one_value_is_not_cut() -> None:
    assert rolling_origins({"flops": np.ones(9)}, np.arange(9), least_rows=1, least_values={}) == []


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(1, 1e6), st.floats(1, 1e6), st.integers(0, 6)), min_size=2, max_size=30
    )
)
def test_what_is_foretold_is_larger_and_of_other_runs(rows: list[tuple[float, float, int]]) -> None:
    params, tokens, groups = (np.array(column) for column in zip(*rows, strict=True))
    inputs = {"params": params, "tokens": tokens}
    for fold in rolling_origins(inputs, groups, least_rows=1, least_values={}):
        values = params * tokens if fold.axis == COMPUTE else inputs[fold.axis]
        assert fold.fitted.any()
        assert fold.foretold.any()
        assert values[fold.fitted].max() <= fold.at < values[fold.foretold].min()
        assert not set(groups[fold.fitted]) & set(groups[fold.foretold])
        assert (fold.distance[fold.fitted] == 0).all()
