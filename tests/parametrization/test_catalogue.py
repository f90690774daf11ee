from __future__ import annotations

import json
from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.catalogue import catalogue, rule_table
from windtunnel.parametrization.horizon import recipe_rule_names
from windtunnel.parametrization.rule import rule_names


def test_every_rule_is_listed_once_with_where_it_comes_from() -> None:
    listed = catalogue()
    assert [rule["name"] for rule in listed["rules"]] == list(rule_names())
    assert [rule["name"] for rule in listed["recipe_rules"]] == list(recipe_rule_names())
    for rule in (*listed["rules"], *listed["recipe_rules"]):
        assert rule["title"] and rule["source"] and rule["status"]


@pytest.mark.parametrize("name", rule_names())
def test_a_rules_table_has_every_role_for_every_geometry(name: str) -> None:
    table = rule_table(name)
    assert list(table["geometries"]) == ["sgd", "sign", "relative", "orthogonal", "kronecker"]
    for rows in table["geometries"].values():
        assert [row["kind"] for row in rows] == [
            *("input", "hidden", "output", "bottleneck", "vector", "scalar", "block", "branch")
        ]
    json.dumps(table)


def test_the_row_of_a_role_is_what_the_rule_says() -> None:
    """Yang et al. 2022, Table 8; Dey et al. 2025, Table 1 with alpha = 1."""
    rows = {row["kind"]: row for row in rule_table("completep")["geometries"]["sign"]}
    hidden = rows["hidden"]
    assert hidden["init"] == {"fan_in": -0.5}
    assert (hidden["lr"], hidden["weight_decay"]) == ({"fan_in": -1}, {"fan_in": 1})
    assert (hidden["multiplier"], hidden["eps"]) == ({}, {"fan_out": -1})
    assert rows["output"]["multiplier"] == {"fan_in": -1}
    assert rows["branch"]["multiplier"] == {"depth": -1}
    assert rule_table("completep")["attention"] == {"head_size": -0.5}  # 1/d, definition 4.1
    assert rule_table("sp")["attention"] == {}
    assert (rows["block"]["lr"], rows["block"]["eps"]) == ({}, {"depth": -1})


def test_a_recipe_rule_has_powers_by_axis() -> None:
    assert rule_table("linear")["powers"] == {"batch": {"lr": 1.0}}
    assert set(rule_table("completed-p")["powers"]) == {"batch", "horizon"}


def test_a_rule_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('extends = "mup"\ntitle = "t"\nsource = "s"\nstatus = "mine"\n')
    assert rule_table(str(path))["status"] == "mine"
    assert rule_table(str(path))["geometries"] == rule_table("mup")["geometries"]


def test_a_rule_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(WindtunnelError, match=r"no rule 'nope'; known rules: completep.*linear"):
        rule_table("nope")
