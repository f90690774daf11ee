from __future__ import annotations

import json

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.table import explanation, table
from windtunnel.scale import Scale

PLAN = plan(GPTFamily(vocabulary_size=64, tied=True), Scale(32, 2), Scale(128, 4), "completep")


def test_one_row_for_all_blocks() -> None:
    rows = {row["name"]: row for row in table(PLAN)}
    up = rows["blocks.*.mlp.up.weight"]
    assert (up["count"], up["role"], up["residual"]) == (4, "hidden", True)
    assert (up["init"], up["lr"], up["weight_decay"], up["eps"]) == (0.5, 0.25, 4.0, 0.125)
    assert rows["embedding.weight"]["also"] == ["head.weight"]
    assert sum(row["count"] for row in rows.values()) == len(PLAN.parameters)
    json.dumps(list(rows.values()))


def test_explanation_has_every_parameter() -> None:
    value = explanation(PLAN)
    assert set(value) == {"rule", "optimizer", "base", "target", "parameters"}
    assert [p["name"] for p in value["parameters"]] == [p.name for p in PLAN]
    expected = {"name", "role", "shape", "init_std", "multiplier", "lr", "weight_decay", "eps"}
    assert set(value["parameters"][0]) == expected
    json.dumps(value, allow_nan=False)
