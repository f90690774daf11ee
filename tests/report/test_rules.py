from __future__ import annotations

import io

import pytest
from rich.console import Console

from windtunnel.report.rules import print_catalogue, print_rule, product

ABOUT = {"name": "mine", "title": "My rule [1]", "source": "a paper", "status": "a guess"}
NOTHING: dict[str, dict[str, float]] = {
    key: {} for key in ("init", "multiplier", "lr", "weight_decay", "eps")
}


def printed(show) -> list[str]:
    out = io.StringIO()
    show(Console(file=out, width=80))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("powers", "words"),
    [
        ({}, "1"),
        ({"fan_in": 1.0}, "fan_in"),
        ({"fan_in": -1.0}, "fan_in^-1"),
        ({"fan_in": -0.5, "depth": 2.0}, "fan_in^-1/2 depth^2"),
        ({"fan_out": 0.75}, "fan_out^3/4"),
        ({"depth": -1 / 3}, "depth^-1/3"),
        ({"horizon": -0.32}, "horizon^-0.32"),
    ],
)
def test_powers_read_as_fractions(powers: dict[str, float], words: str) -> None:
    assert product(powers) == words


def test_the_list_names_source_and_status_of_each() -> None:
    lines = printed(lambda c: print_catalogue({"rules": [ABOUT], "recipe_rules": [ABOUT]}, c))
    assert lines.count("  mine  My rule [1]") == 2
    assert lines.count("      source: a paper") == 2
    assert lines.count("      status: a guess") == 2


def test_geometries_that_are_alike_share_a_table_and_columns_of_ones_are_left_out() -> None:
    hidden = {"kind": "hidden", **NOTHING, "lr": {"fan_in": -1.0}}
    block = {"kind": "block", **NOTHING}
    branch = {"kind": "branch", **NOTHING, "multiplier": {"depth": -0.5}}
    geometries = {
        "sgd": [hidden, block],
        "sign": [hidden, block, branch],
        "relative": [hidden, block],
    }
    attention = {"head_size": -0.5}
    lines = printed(
        lambda c: print_rule({**ABOUT, "attention": attention, "geometries": geometries}, c)
    )
    assert lines == [
        "mine: My rule [1]",
        "Source: a paper",
        "Status: a guess",
        "",
        "sgd (SGD), relative (Adafactor)",
        "Role    Rate",
        "hidden  fan_in^-1",
        "",
        "sign (Adam and its kin)",
        "Role           Multiplier  Rate",
        "hidden         1           fan_in^-1",
        "branch output  depth^-1/2  1",
        "",
        "Attention logits, where the size of heads grows: head_size^-1/2",
        "",
        "In the rule's own gauge, sizes over base's; a column left out is 1.",
    ]


def test_a_recipe_rule_is_a_line_a_quantity() -> None:
    powers = {"batch": {"lr": 0.5, "1 - beta2": 1.0}, "horizon": {"lr": -0.32}}
    lines = printed(lambda c: print_rule({**ABOUT, "powers": powers}, c))
    assert lines[3:] == ["  lr: batch^1/2", "  1 - beta2: batch", "  lr: horizon^-0.32"]
