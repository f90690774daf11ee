from __future__ import annotations

import pytest

from windtunnel.parametrization.rule import load_rule
from windtunnel.parametrization.tied import tied_head, tied_rates
from windtunnel.scale import Geometry

SIGN, SGD, RELATIVE = Geometry.SIGN, Geometry.SGD, Geometry.RELATIVE


@pytest.mark.parametrize("rule", ["mup", "mup-table-3", "mup-table-9", "mean-field"])
@pytest.mark.parametrize("geometry", [SIGN, SGD, RELATIVE, Geometry.ORTHOGONAL])
def test_in_every_gauge_of_mup_a_table_can_do_with_one_rate(rule: str, geometry: Geometry) -> None:
    assert tied_head(load_rule(rule)) == -1
    as_embedding, as_readout = tied_rates(load_rule(rule), geometry)
    assert as_embedding == as_readout


@pytest.mark.parametrize(
    ("rule", "geometry", "rates"),
    [
        ("sp", SIGN, (0.0, 0.0)),  # one rate for all
        ("sp-full-alignment", SIGN, (0.0, -0.5)),
        ("mup-no-alignment", SIGN, (0.0, 0.5)),
        ("u-mup", SIGN, (-0.5, 0.0)),  # published
        ("u-mup", SGD, (1.0, 1.0)),
        ("u-mup", RELATIVE, (0.0, 0.0)),
    ],
)
def test_the_two_rates_of_a_table(
    rule: str, geometry: Geometry, rates: tuple[float, float]
) -> None:
    assert tied_rates(load_rule(rule), geometry) == rates
