"""Rows far off a first fit of the plainest form."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.fitting import fit_form, residuals
from windtunnel.laws.flags.flag import Flag, lines_of, rows_in_words
from windtunnel.laws.rows import Rows
from windtunnel.laws.sample import sampled_rows
from windtunnel.laws.table import RunTable

RULE = "outlier"
_FAR = 6.0  # robust standard deviations
_LEAST_ROWS = 3  # a parameter; through fewer a robust fit passes, and any other row seems far
_MEDIAN_OF_NORMAL = 1.4826


def flag_outliers(rows: Rows, table: RunTable) -> list[Flag]:
    """One flag, or none.

    Args:
        rows: The table's rows, of the form; of very many only a sample is looked at.
        table: The table.
    """
    at = sampled_rows(len(rows))
    seen = rows.take(at)
    if len(seen) < _LEAST_ROWS * len(rows.form.parameters):
        return []
    left_over = residuals(seen, fit_form(seen, polished=8).parameters)
    scale = _MEDIAN_OF_NORMAL * float(np.median(np.abs(left_over)))
    far = np.abs(left_over) > max(_FAR * scale, 1e-9)
    if not far.any():
        return []
    found = np.zeros(len(table), dtype=bool)
    found[at[far]] = True
    return [
        Flag(
            RULE,
            lines_of(table, found),
            f"{rows_in_words(table, found)}: more than {_FAR:.0f} standard deviations off a "
            "first fit; kept unless back-tests are better without",
            dropped=False,
        )
    ]
