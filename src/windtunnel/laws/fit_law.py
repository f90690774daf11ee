"""Fit the law of a table: form, beliefs and rows chosen by back-tests inside the table alone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.candidates import ALL_ROWS, NO_PRIOR, Candidate, candidates, kept_rows
from windtunnel.laws.draws import DRAWS, draw_parameters
from windtunnel.laws.fitting import FittedForm, fit_form, residuals
from windtunnel.laws.flags import Flag, flag_rows
from windtunnel.laws.folds import rolling_origins
from windtunnel.laws.forecasting import FLOOR
from windtunnel.laws.forms import form_named
from windtunnel.laws.forms.form import Form
from windtunnel.laws.law import Law
from windtunnel.laws.rolling import RollingTest, choose, rolling_tests
from windtunnel.laws.rows import Rows
from windtunnel.laws.scorecard import scorecard
from windtunnel.laws.solver import Array
from windtunnel.laws.spread import spread_of
from windtunnel.laws.suited import suited_forms, untested_form
from windtunnel.laws.table import RunTable

LEAST_ROWS = 4
LEAST_FOLD_ROWS = 8
LEAST_FOLD_VALUES = 3  # of an input, below a cut: two make a line of anything
# Rows beyond this are fitted, but not back-tested or redrawn one by one.
MOST_TESTED = 3000
# More rows than this share are no exceptions that could be left out: they are the data.
MOST_DOUBTED = 0.2
_OUTLIER = 6.0  # robust standard deviations
_MEDIAN_OF_NORMAL = 1.4826


def fit_law(
    table: RunTable,
    *,
    form: str = "auto",
    prior: str = "auto",
    seed: int = 0,
    draws: int = DRAWS,
) -> Law:
    """Fit a law to a table of runs.

    Args:
        table: The runs.
        form: A form's name, or `auto` for those that suit the table's columns.
        prior: `auto` to let back-tests choose, `none`, or the name of one of the form's.
        seed: Fixes every draw.
        draws: Refits behind the ranges.

    Raises:
        WindtunnelError: No form suits the table, the one named lacks a column, or too few rows
            are left.
    """
    begun = time.perf_counter()
    keep, flags = flag_rows(table)
    used = table.keep(keep)
    forms = suited_forms(used) if form == "auto" else [_wanted(form, used)]
    names = tuple(dict.fromkeys(name for each in forms for name in each.inputs))
    complete = np.all([np.isfinite(used.numbers[name]) for name in names], axis=0)
    used = used.keep(complete)
    if len(used) < LEAST_ROWS:
        raise WindtunnelError(
            f"{table.source}: {len(used)} rows are left to fit and at least {LEAST_ROWS} are "
            "needed; add runs, or see `windtunnel laws inspect` for what was left out and why"
        )
    inputs = {name: used.numbers[name] for name in names}
    doubtful = _doubtful(flags, used)
    tests = _back_tests(forms, prior, inputs, used, doubtful)
    if any(test.foretold for test in tests):
        chosen = choose(tests)
    elif form == "auto":
        chosen = RollingTest(Candidate(untested_form(forms[0]), NO_PRIOR, ALL_ROWS), (), np.inf)
        tests = [chosen]
    else:
        chosen = _untested(tests)
    candidate = chosen.candidate
    kept = kept_rows(candidate.rows, doubtful, len(used))
    rows = _rows(candidate.form, inputs, used, kept)
    fitted = _fit(rows, candidate)
    thin = _thinned(rows)
    drawn = draw_parameters(thin, fitted, candidate.beliefs, seed=seed, count=draws)
    left_over = residuals(rows, fitted.parameters)
    spread = spread_of(
        chosen.foretold, left_over, fitted.parameters.size, used.groups()[_tested(len(used))]
    )
    lines = used.lines[kept]
    flags = [*flags, *_outliers(left_over, lines), *_left_out(candidate, used.lines[~kept])]
    law = Law(
        fitted=fitted,
        draws=drawn,
        metric=used.metric.name,
        inputs={name: inputs[name][kept] for name in candidate.form.inputs},
        observed=used.loss[kept],
        spread=spread,
        summary={"unit": used.metric.unit},
    )
    seconds = time.perf_counter() - begun
    return _with_summary(law, chosen, tests, flags, _floorless(thin), seconds)


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


def _doubtful(flags: Sequence[Flag], table: RunTable) -> dict[str, np.ndarray]:
    """Rows that a rule doubts, where they are few enough to be exceptions."""
    found = {}
    for flag in flags:
        mask = np.isin(table.lines, flag.rows)
        if flag.rule == "under-trained" and 0 < mask.mean() <= MOST_DOUBTED:
            found[flag.rule] = mask
    return found


def _tested(count: int) -> np.ndarray:
    """Indices of the rows that are back-tested: all, or evenly chosen ones of very many."""
    if count <= MOST_TESTED:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, MOST_TESTED).astype(int))


def _back_tests(
    forms: Sequence[Form],
    prior: str,
    inputs: Mapping[str, Array],
    table: RunTable,
    doubtful: Mapping[str, np.ndarray],
) -> list[RollingTest]:
    every = candidates(forms, prior, doubtful)
    if not every:
        raise WindtunnelError(
            f"prior: no form here has a prior '{prior}'; choose auto, none or one of "
            + ", ".join(dict.fromkeys(name for form in forms for name in form.priors))
        )
    at = _tested(len(table))
    shown = {name: values[at] for name, values in inputs.items()}
    groups = table.groups()[at]
    folds = rolling_origins(
        shown,
        groups,
        least_rows=LEAST_FOLD_ROWS,
        least_values={
            name: LEAST_FOLD_VALUES for name, values in shown.items() if np.ptp(values) > 0
        },
    )
    masks = {rule: mask[at] for rule, mask in doubtful.items()}
    return rolling_tests(every, folds, shown, table.loss[at], masks, groups)


def _untested(tests: Sequence[RollingTest]) -> RollingTest:
    """Without any back-test: the form asked for, with its strongest belief, on all rows."""
    return min(
        (test for test in tests if test.candidate.rows == ALL_ROWS),
        key=lambda test: sum(belief.sd for belief in test.candidate.beliefs) or np.inf,
    )


def _rows(form: Form, inputs: Mapping[str, Array], table: RunTable, kept: np.ndarray) -> Rows:
    return Rows.of(
        form,
        {name: inputs[name][kept] for name in form.inputs},
        table.loss[kept],
        groups=table.groups()[kept],
    )


def _thinned(rows: Rows) -> Rows:
    return rows.take(_tested(len(rows)))


def _fit(rows: Rows, candidate: Candidate) -> FittedForm:
    if len(rows) <= MOST_TESTED:
        return fit_form(rows, beliefs=candidate.beliefs)
    first = fit_form(_thinned(rows), beliefs=candidate.beliefs)
    return fit_form(rows, beliefs=candidate.beliefs, starts=first.parameters[None])


def _outliers(left_over: Array, lines: np.ndarray) -> list[Flag]:
    scale = _MEDIAN_OF_NORMAL * float(np.median(np.abs(left_over)))
    far = np.abs(left_over) > max(_OUTLIER * scale, 1e-9)
    if not far.any():
        return []
    return [
        Flag(
            "outlier",
            tuple(int(line) for line in lines[far]),
            f"{int(far.sum())} rows lie more than {_OUTLIER:.0f} standard deviations from the law; "
            "they are kept, and the fit gives each no more say than a row a little off",
            False,
        )
    ]


def _left_out(candidate: Candidate, lines: np.ndarray) -> list[Flag]:
    if candidate.rows == ALL_ROWS:
        return []
    return [
        Flag(
            candidate.rows,
            tuple(int(line) for line in lines),
            f"{lines.size} rows are left out, {candidate.rows}: back-tests foretold better so",
            True,
        )
    ]


def _floorless(rows: Rows) -> bool:
    """Whether the rows, without any belief, leave next to nothing below the loss."""
    names = [parameter.name for parameter in rows.form.parameters]
    if "e" not in names:
        return False
    free = fit_form(rows, polished=8).parameters[names.index("e")]
    return bool(free < np.log(FLOOR) + rows.observed.min())


def _with_summary(
    law: Law,
    chosen: RollingTest,
    tests: Sequence[RollingTest],
    flags: Sequence[Flag],
    floorless: bool,
    seconds: float,
) -> Law:
    published = law.fitted.published()
    drawn = law.published_draws()
    ranges = {
        name: [float(end) for end in np.quantile([one[name] for one in drawn], [0.05, 0.95])]
        for name in published
    }
    summary: dict[str, Any] = {
        **law.summary,
        "form": law.fitted.form.name,
        "formula": law.fitted.form.formula,
        "prior": chosen.candidate.prior,
        "rows": chosen.candidate.rows,
        "params": published,
        "ci90": ranges,
        "objective": law.fitted.objective,
        "starts_near_best": law.fitted.near_best,
        "at_bounds": list(law.fitted.at_bounds()),
        "floorless": floorless,
        "n_used": int(law.observed.size),
        "flags": [flag.to_json() for flag in flags],
        "seconds": seconds,
        "backtest": scorecard(law, chosen),
        "candidates": [
            {**test.to_json(), "chosen": test is chosen}
            for test in sorted(tests, key=lambda test: test.score)
        ],
    }
    return dataclasses.replace(law, summary=summary)
