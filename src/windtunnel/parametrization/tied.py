"""What a rule asks of a readout that reads the embedding's table."""

from __future__ import annotations

import dataclasses

from windtunnel.parametrization.gauge import move_into_weights
from windtunnel.parametrization.rule import Rule, Scaling
from windtunnel.scale import NONE, Geometry, Powers, Role


def tied_head(rule: Rule) -> float:
    """Power of its fan-in by which a tied readout is multiplied.

    A table is drawn as an embedding, so what the rule does to a readout's own initialisation is
    done here as well. Where one rate serves all layers, so does one initialisation.
    """
    head = rule.layers.get(Role.OUTPUT, Scaling())
    return (head.multiplier * (NONE if rule.alignment is None else head.init)).fan_in


def tied_rates(rule: Rule, geometry: Geometry) -> tuple[float, float]:
    """Powers of the width that a table's rate follows: as an embedding, and as a tied readout.

    A table has one rate, so a rule can only do with one where the two are equal.

    Args:
        rule: The rule.
        geometry: What the optimizer's updates do to the table.
    """
    as_embedding = move_into_weights(rule.scaling(geometry, Role.INPUT), NONE, geometry)
    readout = Scaling(multiplier=Powers(fan_in=tied_head(rule)))
    tied = dataclasses.replace(rule, layers={**rule.layers, Role.OUTPUT: readout})
    return as_embedding.lr.fan_out, tied.scaling(geometry, Role.OUTPUT).lr.fan_in
