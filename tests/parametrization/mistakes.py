"""Mistakes planted in plans, each with the module that the coordinate check has to name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.plan import ParameterPlan, Plan, plan
from windtunnel.parametrization.slopes import Axis
from windtunnel.scale import Scale

BASE = Scale(32, 2)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in which parameters of an otherwise right plan, and who is to blame."""

    name: str
    parameters: str  # a regular expression
    change: Callable[[ParameterPlan], ParameterPlan]
    module: str
    axis: Axis = "width"
    rule: str = "mup"
    tied: bool = False

    def family(self, vocabulary_size: int) -> GPTFamily:
        """The family that the plans are for."""
        return GPTFamily(vocabulary_size=vocabulary_size, tied=self.tied)

    def plans(self, family: GPTFamily, sizes: Iterable[int]) -> dict[Axis, list[Plan]]:
        """One wrong plan a size."""
        targets = [BASE.replace(**{self.axis: size}) for size in sizes]
        return {self.axis: [self._planted(plan(family, BASE, t, self.rule)) for t in targets]}

    def _planted(self, right: Plan) -> Plan:
        pattern = re.compile(self.parameters)
        found = [entry for entry in right if pattern.fullmatch(entry.name)]
        assert found, self.parameters
        parameters = tuple(self.change(entry) if entry in found else entry for entry in right)
        return dataclasses.replace(right, parameters=parameters)


def _no_rate(entry: ParameterPlan) -> ParameterPlan:
    return dataclasses.replace(entry, lr=1.0)


def _no_init(entry: ParameterPlan) -> ParameterPlan:
    return dataclasses.replace(entry, init=1.0)


def _init_twice(entry: ParameterPlan) -> ParameterPlan:
    return dataclasses.replace(entry, init=entry.init**2)


def _rate_twice(entry: ParameterPlan) -> ParameterPlan:
    return dataclasses.replace(entry, lr=entry.lr**2)


def _multiplier(power: float) -> Callable[[ParameterPlan], ParameterPlan]:
    """The parameter's forward multiplier to another power, 0 for none."""

    def change(entry: ParameterPlan) -> ParameterPlan:
        more = entry.gauge ** (power - 1.0)
        return dataclasses.replace(
            entry, init=entry.init * more, lr=entry.lr * more, gauge=entry.gauge * more
        )

    return change


def _as_a_head(entry: ParameterPlan) -> ParameterPlan:
    """Scaled by 1/width, as a readout of its own would be."""
    ratio = entry.base_shape[-1] / entry.shape[-1]
    return dataclasses.replace(entry, init=entry.init * ratio, lr=entry.lr * ratio)


def _forgotten_rate(module: str) -> Mistake:
    return Mistake(f"no rate: {module}", rf"{re.escape(module)}\.weight", _no_rate, module)


ATTENTION = tuple(f"blocks.0.attention.{part}" for part in ("query", "key", "value", "output"))
MLP = tuple(f"blocks.0.mlp.{part}" for part in ("gate", "up", "down"))
DOWN = r"blocks\.\d+\.mlp\.down\.weight"

MISTAKES = (
    *map(_forgotten_rate, (*ATTENTION, *MLP, "blocks.1.mlp.down")),
    Mistake("no multiplier: head", r"head\.weight", _multiplier(0.0), "head"),
    Mistake("multiplier twice: head", r"head\.weight", _multiplier(2.0), "head"),
    Mistake("rate twice: one layer", r"blocks\.0\.mlp\.up\.weight", _rate_twice, "blocks.0.mlp.up"),
    Mistake("rate twice: every layer", r"blocks\..*", _rate_twice, "blocks.0.attention.query"),
    Mistake("rate of a matrix: embedding", r"embedding\.weight", _as_a_head, "embedding"),
    Mistake("wrong init: value", r".*\.0\.attention\.value\.weight", _no_init, ATTENTION[2]),
    Mistake("wrong init: down", r"blocks\.0\.mlp\.down\.weight", _no_init, "blocks.0.mlp.down"),
    Mistake("init twice: up", r"blocks\.0\.mlp\.up\.weight", _init_twice, "blocks.0.mlp.up"),
    Mistake("tied head: table scaled", r"embedding\.weight", _as_a_head, "embedding", tied=True),
    Mistake(
        "tied head: gain not scaled",
        r"final_norm\.weight",
        _multiplier(0.0),
        "final_norm",
        tied=True,
    ),
    Mistake(
        "no branch multiplier", DOWN, _multiplier(0.0), "blocks.*.mlp.down", "depth", "completep"
    ),
    Mistake(
        "branch exponent 1/2, not 1",
        DOWN,
        _multiplier(0.5),
        "blocks.*.mlp.down",
        "depth",
        "completep",
    ),
    Mistake(
        "branch multiplier twice",
        DOWN,
        _multiplier(2.0),
        "blocks.*.mlp.down",
        "depth",
        "completep",
    ),
    Mistake("no rate in depth: down", DOWN, _no_rate, "blocks.*.mlp.down", "depth", "completep"),
    Mistake(
        "no rate in depth: up",
        r"blocks\.\d+\.mlp\.up\.weight",
        _no_rate,
        "blocks.*.mlp.up",
        "depth",
        "depth-mup",
    ),
)
