"""One training step of a model that was set up by `mup`, by `unit-scaling` or here."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import torch
from oracle_equality import batch, cross_entropy
from oracle_models import TOKENS, Transformer, unit_scaling_gpt
from torch import nn

from windtunnel.models.family import Declarations
from windtunnel.models.function import FunctionFamily
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.scale import Scale

BASE, TARGET = Scale(32, 2), Scale(64, 2)
LR = 0.01


_BLOCKS = Declarations(blocks="blocks.*")
_FAMILY = GPTFamily(vocabulary_size=TOKENS, head_size=8, unit_scaled=True)


class UnexpectedError(Exception):
    """What came out is not what was asked for."""


class Side(Protocol):
    """One package: how it sets up, trains and names a matrix whose rate it divides by width."""

    name: str
    probe: str

    def build(self) -> nn.Module:
        """A model at the target, set up."""

    def empty(self) -> nn.Module:
        """The same on the meta device."""

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """AdamW with this package's rates."""

    def rate(self) -> float:
        """The rate of the probed matrix."""


@dataclass(frozen=True)
class Windtunnel:
    """Plain torch modules and a plan."""

    kind: type[nn.Module] = Transformer
    declarations: Declarations = _BLOCKS
    base: Scale = BASE
    target: Scale = TARGET
    name = "windtunnel"
    probe = "blocks.0.up.weight"

    def build(self) -> nn.Module:
        """See `Side`."""
        return self.kind(self.target.width, self.target.depth)

    def empty(self) -> nn.Module:
        """See `Side`."""
        with torch.device("meta"):
            return self.build()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """See `Side`."""
        return torch.optim.AdamW(param_groups(model, self.plan(), lr=LR))

    def family(self) -> FunctionFamily:
        """What a user says of the model."""
        return FunctionFamily(lambda width, depth: self.kind(width, depth), None, self.declarations)

    def plan(self, optimizer: str = "adamw") -> Plan:
        """Rule `mup` for the target."""
        return plan(self.family(), self.base, self.target, "mup", optimizer)

    def rate(self) -> float:
        """See `Side`."""
        return LR * self.base.width / self.target.width


@dataclass(frozen=True)
class Mup:
    """Models with `MuReadout`, and base shapes."""

    package: ModuleType
    kind: type[nn.Module] = Transformer
    base: Scale = BASE
    target: Scale = TARGET
    name = "mup"
    probe = "blocks.0.up.weight"

    def build(self) -> nn.Module:
        """See `Side`."""
        return self.shaped(self.kind(self.target.width, self.target.depth, self.package.MuReadout))

    def empty(self) -> nn.Module:
        """See `Side`."""
        with torch.device("meta"):
            return self.build()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """See `Side`."""
        made: torch.optim.Optimizer = self.package.MuAdamW(model.parameters(), lr=LR)
        return made

    def rate(self) -> float:
        """See `Side`."""
        return LR * self.base.width / self.target.width

    def shaped(self, model: nn.Module) -> nn.Module:
        """The model with base shapes set."""
        readout = self.package.MuReadout
        base = self.kind(self.base.width, self.base.depth, readout)
        delta = self.kind(2 * self.base.width, self.base.depth, readout)
        shaped: nn.Module = self.package.set_base_shapes(model, base, delta=delta)
        return shaped


@dataclass(frozen=True)
class UnitScaling:
    """The package's own modules."""

    package: ModuleType
    target: Scale = TARGET
    name = "unit-scaling"
    probe = "blocks.0.mlp.up.weight"

    def build(self) -> nn.Module:
        """See `Side`."""
        return unit_scaling_gpt(self.package, _FAMILY, self.target)

    def empty(self) -> nn.Module:
        """See `Side`."""
        with torch.device("meta"):
            return self.build()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """See `Side`."""
        made: torch.optim.Optimizer = self.package.optim.AdamW(model.parameters(), lr=LR)
        return made

    def rate(self) -> float:
        """See `Side`: by the matrix' own fan-in, and the depth."""
        return LR * self.target.width**-0.5 * self.target.depth**-0.5


def train(side: Side, model: nn.Module) -> None:
    """Take one step; the probed matrix must have its own rate.

    Raises:
        UnexpectedError: It has another rate, or none.
    """
    optimizer = side.optimizer(model)
    probed = next(p for name, p in model.named_parameters() if name.endswith(side.probe))
    rates = [
        group["lr"]
        for group in optimizer.param_groups
        if any(parameter is probed for parameter in group["params"])
    ]
    if len(rates) != 1 or abs(rates[0] / side.rate() - 1) > 1e-9:
        raise UnexpectedError(f"{side.probe} has the rates {rates}, not {side.rate()}")
    torch.autograd.backward(cross_entropy(model, batch()))
    optimizer.step()
