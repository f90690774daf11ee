"""The table of runs, and what holds for it however its file was written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.laws.flags import flag_rows
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.table import RunTable

Rows = list[tuple[float, float, float]]
ROWS = st.lists(
    st.tuples(st.floats(1e6, 1e12), st.floats(1e8, 1e14), st.floats(1.0, 9.0)),
    min_size=1,
    max_size=12,
)


def made(rows: Rows, scale: float = 1.0, unit: str = "") -> RunTable:
    params, tokens, loss = zip(*rows, strict=True)
    return table_from_columns(
        {
            f"params{unit}": [n / scale for n in params],
            f"tokens{unit}": [d / scale for d in tokens],
            "loss": list(loss),
        }
    )


def test_keep_and_groups() -> None:
    table = table_from_columns(
        {
            "run": ["b", "", "a", "b", ""],
            "params": [1e8, 1e8, 2e8, 1e8, 1e8],
            "tokens": [1e9, 2e9, 3e9, 4e9, 5e9],
            "loss": [3.4, 3.3, 3.2, 3.1, 3.0],
        }
    )
    assert table.groups().tolist() == [0, 1, 2, 0, 3]
    kept = table.keep(np.array([True, False, True, True, False]))
    assert kept.lines.tolist() == [1, 3, 4]
    assert kept.labels["run"] == ("b", "a", "b")
    assert kept.loss.tolist() == [3.4, 3.2, 3.1]
    assert kept.groups().tolist() == [0, 1, 0]
    assert (kept.metric, kept.uses) == (table.metric, table.uses)


def test_one_of_three_is_derived_and_so_are_single_cells() -> None:
    table = table_from_columns(
        {
            "params": [1e8, 1e8, None, 1e8],
            "tokens": [2e9, None, 2e9, None],
            "flops": [None, 6e17, 6e17, None],
            "loss": [3.0, 3.1, 3.2, 3.3],
        }
    )
    assert table.numbers["flops"][0] == pytest.approx(1.2e18)
    assert table.numbers["tokens"][1] == pytest.approx(1e9)
    assert table.numbers["params"][2] == pytest.approx(5e7)
    assert np.isnan(table.numbers["tokens"][3])
    use = table.use("flops")
    assert use is not None
    assert "1 empty cells are 6 x params x tokens" in use.reason


@settings(deadline=None)
@given(ROWS, st.sampled_from([(1e6, " (M)"), (1e9, " (B)"), (1e9, "_billions")]))
def test_units_change_nothing(rows: Rows, unit: tuple[float, str]) -> None:
    plain, scaled = made(rows), made(rows, *unit)
    for name, values in plain.numbers.items():
        np.testing.assert_allclose(scaled.numbers[name], values, rtol=1e-12)


@settings(deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_order_changes_nothing(rows: Rows, random: object) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    table, shuffled = made(rows), made([rows[place] for place in order])
    keep, flags = flag_rows(table)
    shuffled_keep, shuffled_flags = flag_rows(shuffled)
    assert [flag.rule for flag in flags] == [flag.rule for flag in shuffled_flags]
    assert sorted(table.loss[keep]) == sorted(shuffled.loss[shuffled_keep])


@settings(deadline=None)
@given(ROWS, st.integers(1, 3))
def test_duplicated_rows_are_left_out_and_said(rows: Rows, copies: int) -> None:
    rows = list(dict.fromkeys(rows))
    table = made(rows * (copies + 1))
    keep, flags = flag_rows(table)
    alone, _ = flag_rows(made(rows))
    np.testing.assert_array_equal(table.lines[keep], made(rows).lines[alone])
    (said,) = [flag for flag in flags if flag.rule == "duplicate"]
    assert len(said.rows) == alone.sum() * copies
    assert said.dropped
