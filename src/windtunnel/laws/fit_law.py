"""Fit the law of a table: form, beliefs and rows chosen by back-tests inside the table alone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.candidates import ALL_ROWS, NO_PRIOR, Candidate, candidates, kept_rows
from windtunnel.laws.deciding.cost import CostModel, measured_cost
from windtunnel.laws.draws import DRAWS, draw_parameters
from windtunnel.laws.fitting import FittedForm, fit_form, refine, residuals
from windtunnel.laws.flags import Flag, flag_rows
from windtunnel.laws.flags.flag import lines_of, rows_in_words
from windtunnel.laws.folds import rolling_origins
from windtunnel.laws.forecasting import FLOOR
from windtunnel.laws.forms import form_named
from windtunnel.laws.forms.form import Form
from windtunnel.laws.law import Law
from windtunnel.laws.outliers import flag_outliers
from windtunnel.laws.rolling import RollingTest, choose, rolling_tests
from windtunnel.laws.rows import Rows
from windtunnel.laws.sample import remembered_rows, sampled_rows
from windtunnel.laws.scorecard import scorecard
from windtunnel.laws.solver import Array
from windtunnel.laws.spread import spread_of
from windtunnel.laws.stray import SIZES, refuse_stray
from windtunnel.laws.suited import suited_forms, untested_form
from windtunnel.laws.table import RunTable

LEAST_ROWS = 4
LEAST_FOLD_ROWS = 8
LEAST_FOLD_VALUES = 3  # of an input, below a cut: two make a line of anything
# Rules whose rows may be left out, if the others are foretold better so.
DOUBTING = ("under-trained", "outlier")
# More rows than this share are no exceptions that could be left out: they are the data.
MOST_DOUBTED = 0.2


def fit_law(
    table: RunTable,
    *,
    form: str = "auto",
    prior: str | None = None,
    rows: Literal["auto", "all"] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Law:
    """Fit a law to a table of runs.

    Args:
        table: The runs.
        form: A form's name, or `auto` for those that suit the table's columns.
        prior: `auto` to let back-tests choose, `none`, or the name of one of the form's. A form
            asked for by name is fitted as its paper does, without; else it is `auto`.
        rows: `auto` to let them also choose whether to leave doubtful rows out, or `all`, which
            a form asked for by name is fitted to.
        seed: Fixes every draw.
        draws: Refits behind the ranges.

    Raises:
        WindtunnelError: No form suits the table, the one named lacks a column, a value is absurd,
            or too few rows are left.
    """
    begun = time.perf_counter()
    prior = prior or ("auto" if form == "auto" else NO_PRIOR)
    rows = rows or ("auto" if form == "auto" else "all")
    refuse_stray(table, SIZES)
    keep, flags = flag_rows(table)
    used = table.keep(keep)
    _require_rows(used)
    refuse_stray(used, ("loss",))
    forms = suited_forms(used) if form == "auto" else [_wanted(form, used)]
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
    inputs = {name: used.numbers[name] for name in names}
    every = np.ones(len(used), dtype=bool)
    flags += flag_outliers(_rows(forms[0], inputs, used, every), used)
    doubtful = _doubtful(flags, used) if rows == "auto" else {}
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
    chosen_rows = _rows(candidate.form, inputs, used, kept)
    fitted = _fit(chosen_rows, candidate)
    sample = _sampled(chosen_rows)
    drawn = draw_parameters(sample, fitted, candidate.beliefs, seed=seed, count=draws)
    left_over = residuals(chosen_rows, fitted.parameters)
    spread = spread_of(
        chosen.foretold, left_over, fitted.parameters.size, used.groups()[sampled_rows(len(used))]
    )
    flags += _left_out(candidate, used, kept)
    fitted_inputs = {name: inputs[name][kept] for name in candidate.form.inputs}
    remembered = remembered_rows(fitted_inputs)
    law = Law(
        fitted=fitted,
        draws=drawn,
        metric=used.metric.name,
        inputs={name: values[remembered] for name, values in fitted_inputs.items()},
        observed=used.loss[kept][remembered],
        held=_held(used.keep(kept), candidate.form),
        spread=spread,
        summary={"n_used": int(kept.sum()), "unit": used.metric.unit},
    )
    seconds = time.perf_counter() - begun
    cost = measured_cost(used.numbers)
    return _with_summary(law, chosen, tests, flags, _floorless(sample), cost, seconds)


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
    at = sampled_rows(len(table))
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


def _sampled(rows: Rows) -> Rows:
    return rows.take(sampled_rows(len(rows)))


def _fit(rows: Rows, candidate: Candidate) -> FittedForm:
    sample = _sampled(rows)
    first = fit_form(sample, beliefs=candidate.beliefs)
    return first if len(sample) == len(rows) else refine(rows, first, candidate.beliefs)


def _left_out(candidate: Candidate, table: RunTable, kept: np.ndarray) -> list[Flag]:
    if kept.all():
        return []
    return [
        Flag(
            "left out",
            lines_of(table, ~kept),
            f"{rows_in_words(table, ~kept)}: back-tests foretold better {candidate.rows}",
            dropped=True,
        )
    ]


def _held(table: RunTable, form: Form) -> dict[str, float]:
    sizes = {
        name: table.numbers[name]
        for name in ("params", "tokens", "unique_tokens", "experts")
        if name in table.numbers and name not in form.inputs
    }
    return {name: float(values[0]) for name, values in sizes.items() if np.all(values == values[0])}


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
    cost: CostModel | None,
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
        "n_used": law.summary["n_used"],
        "flags": [flag.to_json() for flag in flags],
        "seconds": seconds,
        "cost": None if cost is None else cost.to_json(),
        "backtest": scorecard(law, chosen),
        "candidates": [
            {**test.to_json(), "chosen": test is chosen}
            for test in sorted(tests, key=lambda test: test.score)
        ],
    }
    return dataclasses.replace(law, summary=summary)
