"""A plan as a table that people can read before anything trains."""

from __future__ import annotations

import dataclasses
from typing import Any

from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import ParameterPlan, Plan


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


def explanation(plan: Plan) -> dict[str, Any]:
    """The plan as `windtunnel explain --json` gives it: values for base hyperparameters of one.

    `multiplier` is the forward multiplier that the model must apply itself: always one, since
    the rule's own were moved into the other columns.
    """
    return {
        "rule": plan.rule,
        "optimizer": plan.optimizer,
        "base": dataclasses.asdict(plan.base),
        "target": dataclasses.asdict(plan.target),
        "parameters": [
            {
                "name": entry.name,
                "role": str(entry.role),
                "shape": list(entry.shape),
                "init_std": entry.init,
                "multiplier": 1.0,
                "lr": entry.lr,
                "weight_decay": entry.weight_decay,
                "eps": entry.eps,
            }
            for entry in plan
        ],
    }
