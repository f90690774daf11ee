"""Search the hyperparameters at every ladder width, at the shortest and the longest length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from windtunnel.laws.optimum import Trial, fit_optima
from windtunnel.laws.sweeps.judge import optimum_json as optimum_json
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Recipe, Run
from windtunnel.search.brackets import Axis, BracketPolicy, Cell
from windtunnel.search.table import Row, Table
from windtunnel.spec import BRACKETS
from windtunnel.studies.execute import execute
from windtunnel.studies.imported_sweeps import with_imported
from windtunnel.studies.policy_tune import policy_tune
from windtunnel.studies.study import STANDARD, Study


def tune(study: Study, progress: StudyProgress) -> dict[str, Any]:
    """Run the search, or what is missing of it, and write `tune.json`.

    Returns:
        As `policy_tune` for a policy by name; else
        `rule`, `sweeps` (one for each rule, width and length, with every point and the optimum)
        and what the search's stop said.
    """
    if study.spec.search.policy.name != BRACKETS:
        return policy_tune(study, progress)
    policy = bracket_policy(study)

    def expected(table: Table[Run]) -> list[Run]:
        counts = policy.expected_runs(table)
        return [cell.template for cell in policy.cells for _ in range(counts[cell.name])]

    table, reason = execute(study, "tune", policy, progress, expected=expected, searches=True)
    found = sweeps(policy, table)
    outcome = {
        "rule": study.rule,
        "sweeps": with_imported(study, found + _shared_with_standard(study, found)),
        "reason": reason,
    }
    study.write("tune", outcome)
    return outcome


def bracket_policy(study: Study) -> BracketPolicy:
    """The study's search: its own rule at both lengths, and `sp` at the shortest, for contrast.

    The first cell starts cold from the spec's bracket; every other one starts from the optimum of
    the next smaller width, or of the same width at the shortest length. At base every rule changes
    nothing, so `sp` is not trained there again.
    """
    search = study.spec.search
    widths, lengths = study.spec.ladder.width, study.spec.ladder.units
    cells = []
    for rule, units in _swept(study):
        for position, width in enumerate(widths):
            if rule == STANDARD != study.rule and at_base(study, width):
                continue
            if rule == study.rule and units > lengths[0]:
                warm: str | None = cell_name(rule, width, lengths[0])
                shift = 0.0
            elif position:
                smaller = widths[position - 1]
                shared = at_base(study, smaller)
                warm = cell_name(study.rule if shared else rule, smaller, units)
                shift = -math.log2(width / smaller) if rule == STANDARD else 0.0
            else:
                warm, shift = None, 0.0
            replicated = rule == study.rule and units == lengths[0]
            cells.append(
                Cell(
                    name=cell_name(rule, width, units),
                    template=study.run(rule, study.proxy(width, units), _first_recipe(study)),
                    warm=warm,
                    shift=shift,
                    seeds=search.seeds if replicated else 1,
                )
            )
    axes = [
        Axis(name, bracket.low, bracket.high, bracket.points)
        for name, bracket in sorted(
            search.hyperparameters.items(), key=lambda item: (item[0] != "lr", item[0])
        )
    ]
    return BracketPolicy(cells, axes)


def at_base(study: Study, width: int) -> bool:
    """Whether a ladder scale of this width is the base's size, where every rule is the same."""
    return (width, study.spec.ladder.depth) == (study.base.width, study.base.depth)


def cell_name(rule: str, width: int, units: int) -> str:
    """What people read about a cell's runs."""
    return f"{rule} width {width} length {units:,}"


def sweeps(policy: BracketPolicy, table: Table[Run]) -> list[dict[str, Any]]:
    """Every cell's points and fitted optimum, as plain values, cheapest cell first."""
    lines = policy.lines(table)
    optima = fit_optima({name: _trials(rows) for name, rows in lines.items() if _fits(rows)})
    found = []
    for cell in policy.cells:
        scale = cell.template.scale
        found.append(
            {
                "rule": cell.template.rule,
                "width": scale.width,
                "depth": scale.depth,
                "units": scale.units,
                "others": _others(policy, lines.get(cell.name, ())),
                "points": [_point(row) for row in lines.get(cell.name, ()) if _ran(row)],
                "optimum": optimum_json(optima.get(cell.name)),
            }
        )
    return found


def _learned(policy: BracketPolicy, table: Table[Run]) -> str:
    """The best rate so far at the largest width, under the study's own rule."""
    rule = policy.cells[0].template.rule
    fitted = {
        name: rows
        for name, rows in policy.lines(table).items()
        if rows[0].run.rule == rule and _fits(rows)
    }
    if not fitted:
        return ""
    optima = fit_optima({name: _trials(rows) for name, rows in fitted.items()})
    rates = [(fitted[name][0].run.scale.width, optima[name].value) for name in optima]
    width, best = max(rates)
    low, high = (end(rate for _, rate in rates) for end in (min, max))
    among = f" ({low:.3g} to {high:.3g} over {len(rates)} scales)" if len(rates) > 1 else ""
    return f"best lr at width {width} {best:.3g}{among}"


def _shared_with_standard(study: Study, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The base's sweep at the shortest length, which is `sp`'s as well."""
    if STANDARD not in study.rules or study.rule == STANDARD:
        return []
    shortest = study.spec.ladder.units[0]
    return [
        {**sweep, "rule": STANDARD}
        for sweep in found
        if sweep["rule"] == study.rule
        and sweep["units"] == shortest
        and at_base(study, sweep["width"])
    ]


def trials_of(sweep: Mapping[str, Any]) -> list[Trial]:
    """A sweep's points as the laws want them."""
    return [Trial(point["lr"], point["loss"], point["seed"]) for point in sweep["points"]]


def _swept(study: Study) -> list[tuple[str, int]]:
    lengths = study.spec.ladder.units
    rules = [(study.rule, units) for units in sorted({lengths[0], lengths[-1]})]
    return rules + [(rule, lengths[0]) for rule in study.rules if rule != study.rule]


def _first_recipe(study: Study) -> Recipe:
    bracket = study.spec.search.hyperparameters["lr"]
    return study.spec.recipe.recipe(lr=math.sqrt(bracket.low * bracket.high))


def _trials(rows: Sequence[Row[Run]]) -> list[Trial]:
    return [Trial(row.run.recipe.lr, row.loss, row.run.init_seed) for row in rows if _ran(row)]


def _ran(row: Row[Run]) -> bool:
    """A failed run says nothing of the recipe: it is a wall to the search and no point of a fit."""
    return row.done and row.state != "failed"


def _fits(rows: Sequence[Row[Run]]) -> bool:
    return len({row.run.recipe.lr for row in rows if row.loss is not None}) >= 2


def _others(policy: BracketPolicy, rows: Sequence[Row[Run]]) -> dict[str, float]:
    """The best values of what was searched beside the learning rate."""
    return {axis.name: getattr(rows[0].run.recipe, axis.name) for axis in policy.axes[1:] if rows}


def _point(row: Row[Run]) -> dict[str, Any]:
    return {"lr": row.run.recipe.lr, "loss": row.loss, "seed": row.run.init_seed}
