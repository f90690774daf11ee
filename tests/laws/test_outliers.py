from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.laws.forms import form_named
from windtunnel.laws.outliers import flag_outliers
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.rows import Rows

CHINCHILLA = form_named("chinchilla")


def flagged(columns: dict) -> list:
    return flag_outliers(Rows.of(CHINCHILLA, columns, columns["loss"]), table_from_columns(columns))


@pytest.mark.parametrize("times", [1.1, 0.9, 1e-6, 3.0])
def test_the_row_that_is_off_is_named(runs: Callable[..., dict], times: float) -> None:
    columns = runs(5, 5, noise=0.002)
    columns["loss"][11] *= times
    (flag,) = flagged(columns)
    assert (flag.rule, flag.rows, flag.dropped) == ("outlier", (12,), False)
    assert "1 row (line 12)" in flag.sentence


def test_noise_is_none_and_few_rows_have_none(runs: Callable[..., dict]) -> None:
    assert flagged(runs(5, 5, noise=0.01)) == []
    few = runs(3, 4, noise=0.01)  # a robust fit of five parameters passes through some of them
    few["loss"][np.argmin(few["loss"])] *= 1.2
    assert flagged(few) == []
