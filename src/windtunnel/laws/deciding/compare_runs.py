"""Compare the methods that one column of a table tells apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.compare import Comparison, compare_laws
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array


class LabelledRuns(Protocol):
    """What is asked of a table of runs (`RunTable` has it)."""

    @property
    def source(self) -> str:
        """Where it comes from, for messages."""

    @property
    def numbers(self) -> Mapping[str, Array]:
        """(n,) for each numeric column."""

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """N texts for each other column."""

    def keep(self, mask: NDArray[np.bool_]) -> Self:
        """The rows where `mask`, (n,), is true."""


Table = TypeVar("Table", bound=LabelledRuns)


def compare_runs(
    table: Table,
    by: str,
    at: Mapping[str, float],
    *,
    fit: Callable[[Table, str], Law],
) -> tuple[Comparison, ...]:
    """Fit a law of one form to the runs of each method and compare them at a target.

    Args:
        table: All runs.
        by: Column that names the method.
        at: Value of each of the form's inputs.
        fit: Fits a form, or the best one for `auto`, to the rows of one method.

    Returns:
        Two methods: the one comparison, in the order of the table. More: the one with the lowest
        loss at the target against each of the others; the ranges are not widened for there being
        several comparisons.

    Raises:
        WindtunnelError: There is no such column, it holds one value, or a law can't be fitted.
    """
    methods = _methods(table, by)
    names = list(methods)
    if len(names) < 2:
        raise WindtunnelError(
            f"{table.source}: every run has the same {by}; there is nothing to compare"
        )
    laws = _of_one_form([methods[name] for name in names], names, fit)
    if len(names) == 2:
        return (compare_laws(laws[0], laws[1], at, names=(names[0], names[1])),)
    found = [
        compare_laws(laws[0], law, at, names=(names[0], name))
        for name, law in zip(names[1:], laws[1:], strict=True)
    ]
    losses = [found[0].losses[0], *(one.losses[1] for one in found)]
    best = int(np.argmin(losses))
    return tuple(
        compare_laws(laws[best], law, at, names=(names[best], name))
        for place, (name, law) in enumerate(zip(names, laws, strict=True))
        if place != best
    )


def _methods(table: Table, by: str) -> dict[str, Table]:
    values: Sequence[str]
    if by in table.labels:
        values = table.labels[by]
    elif by in table.numbers:
        values = [f"{by} {value:g}" for value in table.numbers[by]]
    else:
        columns = ", ".join([*table.labels, *table.numbers])
        raise WindtunnelError(f"{table.source}: no column '{by}'; choose one of {columns}")
    column = np.array(values)
    return {name: table.keep(column == name) for name in dict.fromkeys(values)}


def _of_one_form(
    tables: Sequence[Table], names: Sequence[str], fit: Callable[[Table, str], Law]
) -> list[Law]:
    """The laws of all methods, of the form that serves them best together.

    Each method's own best form is tried on all of them. Forms are compared by their back-tests'
    mean error, averaged over the methods, or by the objective where a method has no back-test.
    """

    def fitted(form: str) -> list[Law]:
        laws = []
        for name, table in zip(names, tables, strict=True):
            try:
                laws.append(fit(table, form))
            except WindtunnelError as error:
                raise WindtunnelError(f"{name}: {error}") from error
        return laws

    first = fitted("auto")
    forms = list(dict.fromkeys(law.fitted.form.name for law in first))
    if len(forms) == 1:
        return first
    tried = []
    refusal: WindtunnelError | None = None
    for form in forms:
        try:
            tried.append(fitted(form))
        except WindtunnelError as error:
            refusal = error
    if not tried:
        raise WindtunnelError(f"no form suits all methods: {refusal}") from refusal
    errors = [[_error(law) for law in laws] for laws in tried]
    if any(error is None for each in errors for error in each):
        return min(tried, key=lambda laws: sum(law.fitted.objective for law in laws))
    means = [sum(error or 0.0 for error in each) for each in errors]
    return tried[int(np.argmin(means))]


def _error(law: Law) -> float | None:
    test = law.summary.get("backtest")
    error = test.get("mean_abs_rel_error") if isinstance(test, Mapping) else None
    return float(error) if isinstance(error, int | float) else None
