from __future__ import annotations

import json

from windtunnel.models.gpt import GPTFamily
from windtunnel.optimizers.adafactor import ADAFACTOR
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.names import named_parameters
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.table import explanation, merged, table
from windtunnel.scale import Recipe, Scale

FAMILY = GPTFamily(vocabulary_size=64, tied=True)
PLAN = plan(FAMILY, Scale(32, 2), Scale(128, 4), "completep")


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


RECIPE = Recipe(lr=0.01, batch_units=64, weight_decay=0.1, eps=1e-8)


def test_with_a_recipe_it_has_the_values_that_the_training_loop_gives_the_optimizer() -> None:
    model = FAMILY.build(Scale(128, 4))
    groups = param_groups(model, PLAN, lr=0.01, weight_decay=0.1, eps=1e-8, decay_vectors=False)
    names = {found.parameter: found.names[0] for found in named_parameters(model)}
    given = {names[p]: group for group in groups for p in group["params"]}
    for row in explanation(PLAN, RECIPE)["parameters"]:
        for key in ("lr", "weight_decay", "eps"):
            assert row[key] == given[row["name"]][key]


def test_with_adafactor_its_epsilon_is_the_least_size_of_a_parameter() -> None:
    planned = plan(FAMILY, Scale(32, 2), Scale(128, 2), "mup", "adafactor")
    groups = param_groups(FAMILY.build(Scale(128, 2)), planned, lr=0.01, eps=RECIPE.eps)
    given = {group["least_size"] for group in ADAFACTOR.build(groups, RECIPE).param_groups}
    shown = {row["eps"] for row in explanation(planned, RECIPE)["parameters"]}
    assert shown == given == {1e-3, 5e-4, 2.5e-4}


def test_a_spread_at_base_turns_factors_into_standard_deviations() -> None:
    names = [entry.name for entry in PLAN]
    rows = explanation(PLAN, spread=dict.fromkeys(names, 0.02))["parameters"]
    assert [row["init_std"] for row in rows] == [0.02 * entry.init for entry in PLAN]


def test_rows_merge_where_only_the_block_differs() -> None:
    rows = merged(explanation(PLAN, RECIPE)["parameters"])
    assert sum(row["count"] for row in rows) == len(PLAN.parameters)
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names)) < len(PLAN.parameters)
    one, other = ({"name": f"blocks.{i}.up", "lr": lr} for i, lr in ((0, 1.0), (1, 2.0)))
    assert merged([one, other, one]) == [
        {"name": "blocks.*.up", "lr": 1.0, "count": 2},
        {"name": "blocks.*.up", "lr": 2.0, "count": 1},
    ]
