from __future__ import annotations

import pytest
import torch
from torch import nn

from windtunnel.models.function import FunctionFamily
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.singular_values import (
    OVER_LAW,
    TOP,
    gain_sentence,
    law,
    singular_value_slopes,
    singular_values,
    top_singular_values,
)
from windtunnel.parametrization.slopes import Slope
from windtunnel.scale import Scale

BASE = Scale(8, 1)


def build(width: int, depth: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.Linear(width, 2)
    )


FAMILY = FunctionFamily(build)


def test_only_hidden_matrices_are_measured_and_a_known_one_right() -> None:
    model = build(8, 1)
    with torch.no_grad():
        model[2].weight.copy_(torch.diag(torch.arange(1.0, 9.0)))
    found = top_singular_values(model, plan(FAMILY, BASE, BASE))
    assert found == {"2.weight": pytest.approx(8.0)}
    assert singular_values(model, plan(FAMILY, BASE, BASE)) == found  # at base the law is one


@pytest.mark.parametrize(("rule", "exponent"), [("mup", -0.25), ("robust-layerwise", 0.0)])
def test_the_law_follows_rate_and_decay(rule: str, exponent: float) -> None:
    planned = plan(FAMILY, BASE, BASE.replace(width=32), rule)
    assert law(planned, planned["2.weight"]) == pytest.approx(4.0**exponent)
    model = build(32, 1)
    (top,), (over,) = (
        found(model, planned).values() for found in (top_singular_values, singular_values)
    )
    assert over == pytest.approx(top / 4.0**exponent)


def test_growth_between_widths_is_told_with_and_without_the_law() -> None:
    trained = []
    for width in (8, 16, 32):
        model = build(width, 1)
        with torch.no_grad():
            model[2].weight.copy_(torch.eye(width) * width**0.75)
        planned = plan(FAMILY, BASE, BASE.replace(width=width), "robust-layerwise")
        trained.append((model, planned))
    slopes = {slope.quantity: slope.slope for slope in singular_value_slopes(trained)}
    assert slopes == {TOP: pytest.approx(0.75), OVER_LAW: pytest.approx(0.75)}
    again = [(model, plan(FAMILY, BASE, planned.target)) for model, planned in trained]
    slopes = {slope.quantity: slope.slope for slope in singular_value_slopes(again)}
    assert slopes == {TOP: pytest.approx(0.75), OVER_LAW: pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("slope", "words"), [(0.5, "grows as width^+0.50"), (-0.5, "decay it less, by width^-1.00")]
)
def test_a_gain_that_drifts_names_its_remedy(slope: float, words: str) -> None:
    found = gain_sentence(Slope("up", TOP, "width", 9, slope, (slope - 0.1, slope + 0.1)))
    assert words in found
    assert gain_sentence(Slope("up", TOP, "width", 9, 0.1, (0.0, 0.2))) is None
