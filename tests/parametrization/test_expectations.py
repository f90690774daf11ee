from __future__ import annotations

import pytest

from windtunnel.models.family import Declarations
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.expectations import drawn_level, moved_multipliers, own_updates
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.scale import Powers, Scale

BASE = Scale(32, 2)
FAMILY = GPTFamily(vocabulary_size=32)


def planned(rule: str, optimizer: str = "adamw", **target: int) -> Plan:
    return plan(FAMILY, BASE, BASE.replace(**target), rule, optimizer)


@pytest.mark.parametrize(
    ("rule", "optimizer", "inside"),
    [
        ("completep", "adamw", 1.0),
        ("depth-mup", "adamw", 4**-0.5),
        ("depth-mup", "sgd", 4**-0.5),
        ("mup", "adamw", 1.0),
    ],
)
def test_branches_shrink_with_depth_so_that_their_sum_does_not(
    rule: str, optimizer: str, inside: float
) -> None:
    found = own_updates(planned(rule, optimizer, depth=8), FAMILY.declarations)
    assert found["blocks.5.mlp.down"] == pytest.approx(1 / 4)  # whatever the rule
    assert found["blocks.5.attention.output"] == pytest.approx(1 / 4)
    assert found["blocks.5.mlp.up"] == pytest.approx(inside)
    assert found["blocks.5.mlp_norm"] == pytest.approx(inside)
    assert found["embedding"] == found["head"] == found["final_norm"] == 1.0


def test_nothing_is_expected_to_change_with_width() -> None:
    found = own_updates(planned("completep", width=256), FAMILY.declarations)
    assert set(found.values()) == {1.0}


def test_a_branch_multiplier_is_taken_off_its_last_layer_alone() -> None:
    found = moved_multipliers(planned("completep", depth=8), FAMILY.declarations)
    assert found["blocks.5.mlp.down"] == pytest.approx(1 / 4)
    assert found["blocks.5.mlp.up"] == found["head"] == 1.0


def test_a_tied_heads_multiplier_is_taken_off_the_final_norm() -> None:
    tied = GPTFamily(vocabulary_size=32, tied=True)
    wide = plan(tied, BASE, BASE.replace(width=128))
    assert moved_multipliers(wide, tied.declarations)["final_norm"] == pytest.approx(1 / 4)


def test_what_the_model_multiplies_itself_is_left_to_it() -> None:
    declared = Declarations(
        branch_outputs=("blocks.*.mlp.down", "blocks.*.attention.output"),
        blocks="blocks.*",
        multipliers=(("blocks.*.mlp.down", Powers(depth=-1.0)),),
    )
    deep = plan(FAMILY, BASE, BASE.replace(depth=8), "completep", declarations=declared)
    assert moved_multipliers(deep, declared)["blocks.5.mlp.down"] == pytest.approx(1.0)
    assert own_updates(deep, declared)["blocks.5.mlp.down"] == pytest.approx(1.0)
    assert own_updates(deep, declared)["blocks.5.attention.output"] == pytest.approx(1 / 4)


def test_readouts_and_gains_have_no_level_to_keep_at_first() -> None:
    level = drawn_level(planned("mup"))
    assert {"embedding", "blocks.*.mlp.up", "blocks.*.attention.query"} <= level
    assert not {"head", "final_norm", "blocks.*.mlp_norm"} & level


def test_a_published_rate_that_is_not_the_derived_one_is_expected() -> None:
    """u-muP's embedding: its updates shrink as width^-1/2, and its authors mean it."""
    family = GPTFamily(vocabulary_size=32, unit_scaled=True)
    found = own_updates(plan(family, BASE, BASE.replace(width=128), "u-mup"), family.declarations)
    assert found["embedding"] == pytest.approx(1 / 2)
    assert found["blocks.0.mlp.up"] == found["head"] == pytest.approx(1.0)
