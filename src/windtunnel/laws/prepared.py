"""A table's rows made ready for a fit: what is used, what is doubted, what was flagged and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.flags import Flag, flag_rows
from windtunnel.laws.flags.flag import lines_of, rows_in_words
from windtunnel.laws.forms import form_named
from windtunnel.laws.forms.form import Form
from windtunnel.laws.outliers import flag_outliers
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array
from windtunnel.laws.stray import SIZES, refuse_stray
from windtunnel.laws.suited import suited_forms
from windtunnel.laws.table import RunTable

AUTO = "auto"
LEAST_ROWS = 4
# Rules whose rows may be left out, if the others are foretold better so.
DOUBTING = ("under-trained", "outlier")
# More rows than this share are no exceptions that could be left out: they are the data.
MOST_DOUBTED = 0.2


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a fit begins with.

    Attributes:
        table: The rows to use.
        forms: The forms to compare, from few parameters to many.
        flags: What the rules said of the rows, those left out among them.
        doubtful: (n,) masks, by rule, of the few rows that it doubts.
    """

    table: RunTable
    forms: tuple[Form, ...]
    flags: tuple[Flag, ...]
    doubtful: Mapping[str, np.ndarray]

    @property
    def inputs(self) -> dict[str, Array]:
        """(n,) values of every input of any of the forms."""
        return {name: self.table.numbers[name] for form in self.forms for name in form.inputs}

    def rows(self, form: Form, kept: np.ndarray) -> Rows:
        """The rows where `kept`, (n,), is true, for one of the forms."""
        return rows_of(form, self.table.keep(kept))


def prepare(table: RunTable, form: str = AUTO) -> Prepared:
    """Apply every rule to a table's rows and find the forms that suit them.

    Args:
        table: The runs.
        form: A form's name, or `auto` for those that suit the table's columns.

    Raises:
        WindtunnelError: No form suits the table, the one named lacks a column, a value is absurd,
            or too few rows are left.
    """
    refuse_stray(table, SIZES)
    keep, flags = flag_rows(table)
    used = table.keep(keep)
    _require_rows(used)
    refuse_stray(used, ("loss",))
    forms = suited_forms(used) if form == AUTO else [_wanted(form, used)]
    names = tuple(dict.fromkeys(name for each in forms for name in each.inputs))
    complete = np.all([np.isfinite(used.numbers[name]) for name in names], axis=0)
    flags += _incomplete(used, ~complete, names)
    used = used.keep(complete)
    _require_rows(used)
    if np.ptp(used.loss) == 0:
        raise WindtunnelError(
            f"{table.source}: {used.metric.name} is {used.loss[0]:g} in every row, so there is "
            "nothing to fit; is it the right column? --columns loss=..."
        )
    flags += flag_outliers(rows_of(forms[0], used), used)
    return Prepared(used, tuple(forms), tuple(flags), _doubtful(flags, used))


def rows_of(form: Form, table: RunTable) -> Rows:
    """All rows of a table, for one form."""
    return Rows.of(form, table.numbers, table.loss, table.weight, table.groups())


def _require_rows(table: RunTable) -> None:
    if len(table) < LEAST_ROWS:
        raise WindtunnelError(
            f"{table.source}: {len(table)} rows are left to fit and at least {LEAST_ROWS} are "
            "needed; add runs, or see `windtunnel laws inspect` for what was left out and why"
        )


def _wanted(name: str, table: RunTable) -> Form:
    form = form_named(name)
    lacking = [each for each in form.inputs if each not in table.numbers]
    if lacking:
        raise WindtunnelError(
            f"{table.source}: the form {name} needs {', '.join(form.inputs)}, and there is no "
            f"{' or '.join(lacking)}; name the column with --columns {lacking[0]}=..."
        )
    if table.metric.kind not in form.metrics:
        raise WindtunnelError(
            f"{table.source}: the form {name} is for {' or '.join(form.metrics)}, and "
            f"{table.metric.name} is {table.metric.kind}; choose another form or another column"
        )
    return form


def _incomplete(table: RunTable, lacking: np.ndarray, names: Sequence[str]) -> list[Flag]:
    if not lacking.any():
        return []
    words = f"{rows_in_words(table, lacking)}: {' or '.join(names)} is empty; left out"
    return [Flag("incomplete", lines_of(table, lacking), words, dropped=True)]


def _doubtful(flags: Sequence[Flag], table: RunTable) -> dict[str, np.ndarray]:
    """Rows that a rule doubts, where they are few enough to be exceptions."""
    found = {}
    for flag in flags:
        mask = np.isin(table.lines, flag.rows)
        if flag.rule in DOUBTING and 0 < mask.mean() <= MOST_DOUBTED:
            found[flag.rule] = mask
    return found
