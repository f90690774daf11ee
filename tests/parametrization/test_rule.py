from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.gauge import move_into_weights
from windtunnel.parametrization.rule import Scaling, load_rule, rule_names
from windtunnel.scale import NONE, Geometry, Powers, Role

exponents = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
powers = st.builds(Powers, exponents, exponents, exponents)


def test_every_rule_has_a_source_and_a_status() -> None:
    assert rule_names() == ("completep", "mup", "sp")
    for name in rule_names():
        rule = load_rule(name)
        assert "arXiv" in rule.source and rule.status and rule.title


def test_mup_is_table_8_row_by_row() -> None:
    """Yang et al. 2022, Table 8, Adam column; decay as the mup package has it."""
    rule = load_rule("mup")
    inputs, hidden, output = (
        rule.scaling(Geometry.SIGN, role) for role in (Role.INPUT, Role.HIDDEN, Role.OUTPUT)
    )
    assert (inputs.init, inputs.multiplier, inputs.lr, inputs.weight_decay) == (NONE,) * 4
    assert (hidden.init, hidden.multiplier) == (Powers(fan_in=-0.5), NONE)
    assert (hidden.lr, hidden.weight_decay) == (Powers(fan_in=-1), Powers(fan_in=1))
    assert (output.init, output.lr, output.weight_decay) == (NONE,) * 3
    assert output.multiplier == Powers(fan_in=-1)


def test_mup_becomes_table_3_when_its_multiplier_moves_into_the_weights() -> None:
    output = load_rule("mup").scaling(Geometry.SIGN, Role.OUTPUT)
    moved = move_into_weights(output, NONE, Geometry.SIGN)
    assert moved == Scaling(
        init=Powers(fan_in=-1), lr=Powers(fan_in=-1), weight_decay=Powers(fan_in=1)
    )


def test_completep_is_mup_in_width_and_divides_branches_by_depth() -> None:
    rule, mup = load_rule("completep"), load_rule("mup")
    for role in Role:
        assert rule.scaling(Geometry.SIGN, role) == mup.scaling(Geometry.SIGN, role)
    assert rule.scaling(Geometry.SIGN, "block") == Scaling(eps=Powers(depth=-1))
    assert rule.scaling(Geometry.SIGN, "branch") == Scaling(multiplier=Powers(depth=-1))
    assert mup.scaling(Geometry.SIGN, "block") == Scaling()


def test_sp_has_one_rate_for_all() -> None:
    for role in Role:
        scaling = load_rule("sp").scaling(Geometry.SIGN, role)
        assert (scaling.lr, scaling.weight_decay, scaling.eps) == (NONE,) * 3
        matrix = role in (Role.HIDDEN, Role.OUTPUT, Role.BOTTLENECK)
        assert scaling.init == (Powers(fan_in=-0.5) if matrix else NONE)


@given(powers, powers)
def test_moving_a_multiplier_and_its_inverse_changes_nothing(first: Powers, other: Powers) -> None:
    scaling = Scaling(init=first, lr=first, weight_decay=other, eps=other)
    there = move_into_weights(scaling, first, Geometry.SIGN)
    assert move_into_weights(there, NONE / first, Geometry.SIGN) == scaling


def test_a_rule_says_what_it_lacks() -> None:
    with pytest.raises(WindtunnelError, match="no rule 'nope'; known rules: completep, mup, sp"):
        load_rule("nope")
    with pytest.raises(WindtunnelError, match="no entries for orthogonal optimizers"):
        load_rule("mup").scaling(Geometry.ORTHOGONAL, Role.HIDDEN)
    with pytest.raises(WindtunnelError, match="no transformation law for sgd"):
        move_into_weights(Scaling(), NONE, Geometry.SGD)
