"""A plan as a table that people can read before anything trains."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from windtunnel.optimizers.adafactor import epsilon_at_base
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import ParameterPlan, Plan
from windtunnel.scale import Recipe, Role


def table(plan: Plan) -> list[dict[str, Any]]:
    """One row for parameters that differ in nothing but their block, in the model's own order.

    Returns:
        Rows with `name` (`*` for the block's index), `count`, `also` (other names of a tied
        parameter), `role`, `residual`, `shape`, and the factors `init`, `lr`, `weight_decay`,
        `eps` and `gauge` relative to base.
    """
    rows: dict[ParameterPlan, int] = {}
    for entry in plan:
        merged = dataclasses.replace(
            entry,
            name=without_indices(entry.name),
            also=tuple(without_indices(name) for name in entry.also),
            base_name=without_indices(entry.base_name),
        )
        rows[merged] = rows.get(merged, 0) + 1
    return [
        {
            "name": row.name,
            "count": count,
            "also": list(row.also),
            "role": str(row.role),
            "residual": row.residual,
            "shape": list(row.shape),
            "init": row.init,
            "lr": row.lr,
            "weight_decay": row.weight_decay,
            "eps": row.eps,
            "gauge": row.gauge,
        }
        for row, count in rows.items()
    ]


def explanation(
    plan: Plan, recipe: Recipe | None = None, spread: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The plan as `windtunnel explain --json` gives it.

    `multiplier` is the forward multiplier that the model must apply itself: always one, since
    the rule's own were moved into the other columns.

    Args:
        plan: The plan.
        recipe: Hyperparameters at base. None stands for values of one, so that `lr`,
            `weight_decay` and `eps` are factors; otherwise they are what an optimizer is given,
            with a decay of 0 for vectors and scalars, as our own training loop has it.
        spread: Standard deviation of each initialisation at base, by name
            (`windtunnel.parametrization.spread`); None stands for one.
    """
    return {
        **heading(plan),
        "parameters": [
            {
                "name": entry.name,
                "role": str(entry.role),
                "shape": list(entry.shape),
                "init_std": entry.init * (1.0 if spread is None else spread[entry.name]),
                "multiplier": 1.0,
                **_settings(entry, recipe),
            }
            for entry in plan
        ],
    }


def heading(plan: Plan) -> dict[str, Any]:
    """What a plan is for: rule, optimizer, base and target."""
    return {
        "rule": plan.rule,
        "optimizer": plan.optimizer,
        "base": dataclasses.asdict(plan.base),
        "target": dataclasses.asdict(plan.target),
    }


def merged(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for all blocks alike: their `name` gets `*` for the index, and a `count` is added."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        alike = {**row, "name": without_indices(row["name"])}
        known = found.setdefault(json.dumps(alike), {**alike, "count": 0})
        known["count"] += 1
    return list(found.values())


def _settings(entry: ParameterPlan, recipe: Recipe | None) -> dict[str, float]:
    if recipe is None:
        return {"lr": entry.lr, "weight_decay": entry.weight_decay, "eps": entry.eps}
    decayed = entry.role not in (Role.VECTOR, Role.SCALAR)
    return {
        "lr": recipe.lr * entry.lr,
        "weight_decay": recipe.weight_decay * entry.weight_decay if decayed else 0.0,
        "eps": epsilon_at_base(entry.geometry, recipe) * entry.eps,
    }
