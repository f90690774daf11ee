from __future__ import annotations

import numpy as np

from windtunnel.laws.sample import MOST_TESTED, remembered_rows, sampled_rows


def test_all_rows_of_a_table_of_usual_size() -> None:
    np.testing.assert_array_equal(sampled_rows(MOST_TESTED), np.arange(MOST_TESTED))
    values = {"flops": np.arange(1.0, 10.0)}
    np.testing.assert_array_equal(remembered_rows(values), np.arange(9))


def test_a_sample_of_a_grid_is_no_diagonal_and_always_the_same() -> None:
    at = sampled_rows(1_000_000)
    assert at.size == np.unique(at).size <= MOST_TESTED
    assert (np.diff(at) > 0).all()
    np.testing.assert_array_equal(at, sampled_rows(1_000_000))
    assert abs(np.corrcoef(at // 1000, at % 1000)[0, 1]) < 0.2


def test_the_extremes_are_remembered() -> None:
    generator = np.random.default_rng(0)
    inputs = {"params": generator.uniform(1, 2, 9000), "tokens": generator.uniform(1, 2, 9000)}
    at = remembered_rows(inputs)
    assert at.size < 1100
    columns = [*inputs.values(), inputs["params"] * inputs["tokens"]]
    for column in columns:
        assert (column[at].min(), column[at].max()) == (column.min(), column.max())
