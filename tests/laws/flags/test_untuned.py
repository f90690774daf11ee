"""Rows that another setting of the same size beat."""

from __future__ import annotations

from collections.abc import Sequence

from windtunnel.laws.flags import flag_rows
from windtunnel.laws.reading.memory import table_from_columns


def kept(lr: Sequence[float], loss: Sequence[float]) -> tuple[list[int], list[str]]:
    """Rows kept of five runs at two sizes, and the rules that spoke."""
    table = table_from_columns(
        {"params": [1e8] * 3 + [2e8] * 2, "tokens": [2e9] * 5, "lr": lr, "loss": loss}
    )
    keep, flags = flag_rows(table)
    return [row for row, one in enumerate(keep) if one], [flag.rule for flag in flags]


def test_the_best_setting_of_each_size_stays_with_its_repeats() -> None:
    rows, rules = kept([1e-3, 1e-3, 2e-3, 1e-3, 2e-3], [3.0, 3.01, 3.2, 2.9, 2.8])
    assert rows == [0, 1, 4]
    assert "untuned" in rules


def test_nothing_is_left_out_where_every_size_has_one_setting() -> None:
    rows, rules = kept([1e-3, 1e-3, 1e-3, 2e-3, 2e-3], [3.0, 3.01, 3.2, 2.9, 2.8])
    assert rows == [0, 1, 2, 3, 4]
    assert "untuned" not in rules
