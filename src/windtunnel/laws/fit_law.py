"""Fit the law of a table: form, beliefs and rows chosen by back-tests inside the table alone."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.candidates import ALL_ROWS, NO_PRIOR, Candidate, candidates, kept_rows
from windtunnel.laws.draws import DRAWS, draw_parameters
from windtunnel.laws.fitting import HUBER_DELTA, FittedForm, fit_form, refine, residuals
from windtunnel.laws.flags import Flag
from windtunnel.laws.flags.flag import lines_of, rows_in_words
from windtunnel.laws.folds import rolling_origins
from windtunnel.laws.forms.form import Form
from windtunnel.laws.law import Law
from windtunnel.laws.prepared import AUTO, Prepared, prepare
from windtunnel.laws.rolling import RollingTest, choose, rolling_tests
from windtunnel.laws.rows import Rows
from windtunnel.laws.sample import remembered_rows, sampled_rows
from windtunnel.laws.spread import spread_of
from windtunnel.laws.suited import untested_form
from windtunnel.laws.summarised import summary_of
from windtunnel.laws.table import RunTable

LEAST_FOLD_ROWS = 8
LEAST_FOLD_VALUES = 3  # of an input, below a cut: two make a line of anything
# Standard deviations within which a residual counts squared: 95 % of least squares' efficiency on
# normal noise (Huber 1981), and outliers still let go.
_TUNING = 1.345


def fit_law(
    table: RunTable,
    *,
    form: str = AUTO,
    prior: str | None = None,
    rows: Literal["auto", "all"] | None = None,
    seed_noise: float | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Law:
    """Fit a law to a table of runs.

    Args:
        table: The runs. A column `weight` says how much each row counts.
        form: A form's name, or `auto` for those that suit the table's columns.
        prior: `auto` to let back-tests choose, `none`, or the name of one of the form's. A form
            asked for by name is fitted as its paper does, without; else it is `auto`.
        rows: `auto` to let them also choose whether to leave doubtful rows out, or `all`, which
            a form asked for by name is fitted to.
        seed_noise: Standard deviation of one run's metric from seed to seed at the largest
            scales, as a share of it, where it was measured; else residuals and back-tests tell.
        seed: Fixes every draw.
        draws: Refits behind the ranges.

    Raises:
        WindtunnelError: No form suits the table, the one named lacks a column, a value is absurd,
            or too few rows are left.
    """
    begun = time.perf_counter()
    if seed_noise is not None and not (math.isfinite(seed_noise) and 0 < seed_noise < 1):
        raise WindtunnelError(
            f"seed noise {seed_noise:g} is no share of the metric; give 0.01 for 1 %"
        )
    prior = prior or (AUTO if form == AUTO else NO_PRIOR)
    ready = prepare(table, form)
    if (rows or (AUTO if form == AUTO else "all")) == "all":
        ready = dataclasses.replace(ready, doubtful={})
    delta = HUBER_DELTA if seed_noise is None else max(HUBER_DELTA, _TUNING * seed_noise)
    tests = _back_tests(ready, prior, delta)
    if any(test.foretold for test in tests):
        chosen = choose(tests)
    elif form == AUTO:
        standing_in = Candidate(untested_form(ready.forms[0]), NO_PRIOR, ALL_ROWS)
        chosen = RollingTest(standing_in, (), math.inf)
        tests = [chosen]
    else:
        chosen = _untested(tests)
    candidate = chosen.candidate
    kept = kept_rows(candidate.rows, ready.doubtful, len(ready.table))
    used = ready.table.keep(kept)
    own = ready.rows(candidate.form, kept)
    sample = own.take(sampled_rows(len(own)))
    fitted = _fit(own, sample, candidate, delta)
    noise = None if seed_noise is None else seed_noise * _unit(own)
    drawn = draw_parameters(
        sample, fitted, candidate.beliefs, seed=seed, count=draws, delta=delta, noise=noise
    )
    spread = spread_of(
        chosen.foretold,
        residuals(own, fitted.parameters),
        fitted.parameters.size,
        ready.table.groups()[sampled_rows(len(ready.table))],
        known_noise=noise,
    )
    remembered = remembered_rows({name: used.numbers[name] for name in candidate.form.inputs})
    law = Law(
        fitted=fitted,
        draws=drawn,
        metric=used.metric.name,
        inputs={name: used.numbers[name][remembered] for name in candidate.form.inputs},
        observed=used.loss[remembered],
        spread=spread,
        summary={},
        held=_held(used, candidate.form),
        weight=used.weight[remembered] if "weight" in used.numbers else None,
        delta=delta,
    )
    flags = [*ready.flags, *_left_out(candidate, ready.table, kept)]
    summary = summary_of(law, sample, ready.table, chosen, tests, flags)
    seconds = time.perf_counter() - begun
    return dataclasses.replace(
        law, summary={**summary, "n_used": int(kept.sum()), "seconds": seconds}
    )


def _back_tests(ready: Prepared, prior: str, delta: float) -> list[RollingTest]:
    every = candidates(ready.forms, prior, ready.doubtful)
    if not every:
        raise WindtunnelError(
            f"prior: no form here has a prior '{prior}'; choose auto, none or one of "
            + ", ".join(dict.fromkeys(name for form in ready.forms for name in form.priors))
        )
    at = sampled_rows(len(ready.table))
    shown = {name: values[at] for name, values in ready.inputs.items()}
    groups = ready.table.groups()[at]
    folds = rolling_origins(
        shown,
        groups,
        least_rows=LEAST_FOLD_ROWS,
        least_values={
            name: LEAST_FOLD_VALUES for name, values in shown.items() if np.ptp(values) > 0
        },
    )
    return rolling_tests(
        every,
        folds,
        shown,
        ready.table.loss[at],
        {rule: mask[at] for rule, mask in ready.doubtful.items()},
        groups,
        weights=ready.table.weight[at],
        delta=delta,
    )


def _untested(tests: Sequence[RollingTest]) -> RollingTest:
    """Without any back-test: the form asked for, with its strongest belief, on all rows."""
    return min(
        (test for test in tests if test.candidate.rows == ALL_ROWS),
        key=lambda test: sum(belief.sd for belief in test.candidate.beliefs) or np.inf,
    )


def _fit(rows: Rows, sample: Rows, candidate: Candidate, delta: float) -> FittedForm:
    first = fit_form(sample, beliefs=candidate.beliefs, delta=delta)
    if len(sample) == len(rows):
        return first
    return refine(rows, first, candidate.beliefs, delta=delta)


def _unit(rows: Rows) -> float:
    """What a share of the metric is in the form's space."""
    return 1.0 if rows.form.space == "log" else float(np.median(np.abs(rows.observed)))


def _left_out(candidate: Candidate, table: RunTable, kept: np.ndarray) -> list[Flag]:
    if kept.all():
        return []
    return [
        Flag(
            "left out",
            lines_of(table, ~kept),
            f"{rows_in_words(table, ~kept)}: back-tests foretold better {candidate.rows} rows",
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
