"""Family `gpt` stacked: the same modules, made of layers that hold all members' weights.

Members are folded into the batch axis, as (members x batch, length, width), wherever nothing but a
batch axis is needed: attention, rotary positions, gates. Linear maps, embeddings and gains unfold
them. So every operation is one of torch's own on plain tensors, and attention keeps its kernels.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call

from windtunnel.models import unit_scaling
from windtunnel.models.family import Batch
from windtunnel.models.gpt import GPTFamily
from windtunnel.models.gpt_blocks import GPT
from windtunnel.models.gpt_ops import NORM_EPS, Ops, PlainOps, UnitScaledOps
from windtunnel.models.stacked import StackedParameters
from windtunnel.scale import Scale


class StackedGPT:
    """See `windtunnel.models.stacked.Stacked`."""

    def __init__(self, family: GPTFamily, scale: Scale) -> None:
        """Build the modules without storage."""
        plain = family.ops(scale)
        ops: Ops = StackedOps()
        if isinstance(plain, UnitScaledOps):
            ops = StackedUnitScaledOps(**dataclasses.asdict(plain))
        self._unit_scaled = family.unit_scaled
        with torch.device("meta"):
            self._model = GPT(family, scale, ops)

    def losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """Mean cross-entropy of each member, shape (members,)."""
        losses = self._token_losses(parameters, batch).flatten(1)
        if not self._unit_scaled:
            return losses.mean(dim=1)
        return unit_scaling.scaled(losses.sum(dim=1), forward=1 / losses.shape[1])

    def sequence_losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """Mean cross-entropy of each sequence, shape (members, batch)."""
        return self._token_losses(parameters, batch).mean(dim=2)

    def _token_losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        inputs, targets = batch
        members = next(iter(parameters.values())).shape[0]
        logits = functional_call(self._model, dict(parameters), (inputs,)).flatten(0, 1)
        if self._unit_scaled:
            logits = unit_scaling.scaled_logits(logits)
        repeated = targets.expand(members, *targets.shape)
        losses = F.cross_entropy(logits, repeated.flatten(), reduction="none")
        return losses.view_as(repeated)


class StackedOps(PlainOps):
    """`PlainOps` whose layers take their number of members from their weights."""

    def embedding(self, rows: int, width: int) -> nn.Embedding:
        """See `Ops`."""
        return _Embedding(rows, width)

    def linear(self, fan_in: int, fan_out: int, *, mirrored: bool = False) -> nn.Linear:
        """See `Ops`."""
        return _Linear(fan_in, fan_out, bias=False)

    def readout(self, fan_in: int, fan_out: int) -> nn.Linear:
        """See `Ops`."""
        return _Linear(fan_in, fan_out, bias=False)

    def norm(self, size: int) -> nn.RMSNorm:
        """See `Ops`."""
        return _RMSNorm(size, eps=NORM_EPS)


class StackedUnitScaledOps(UnitScaledOps):
    """`UnitScaledOps` likewise; the elements that its factors count are one member's."""

    def embedding(self, rows: int, width: int) -> nn.Embedding:
        """See `Ops`."""
        return _UnitScaledEmbedding(rows, width)

    def linear(self, fan_in: int, fan_out: int, *, mirrored: bool = False) -> nn.Linear:
        """See `Ops`."""
        alone = UnitScaledOps.linear(self, fan_in, fan_out, mirrored=mirrored)
        return _UnitScaledLinear(alone)

    def readout(self, fan_in: int, fan_out: int) -> nn.Linear:
        """See `Ops`."""
        return _UnitScaledLinear(UnitScaledOps.readout(self, fan_in, fan_out))

    def norm(self, size: int) -> nn.RMSNorm:
        """See `Ops`."""
        return _UnitScaledRMSNorm(size, eps=NORM_EPS)


class _Embedding(nn.Embedding):
    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, length) to (members x batch, length, width)."""
        return _looked_up(tokens, self.weight)


class _Linear(nn.Linear):
    def forward(self, values: Tensor) -> Tensor:
        """Map (members x batch, ..., fan-in) to the same with fan-out."""
        return _mapped(values, self.weight)


class _RMSNorm(nn.RMSNorm):
    def forward(self, values: Tensor) -> Tensor:
        """Normalise the last axis of (members x batch, ..., size)."""
        return _normalised(values, self.weight, self.eps)


class _UnitScaledEmbedding(nn.Embedding):
    def forward(self, tokens: Tensor) -> Tensor:
        """See `unit_scaling.embedding`."""
        factor = (self.weight.shape[1] / tokens.numel()) ** 0.5
        return _looked_up(tokens, unit_scaling.scaled(self.weight, backward=factor))


class _UnitScaledLinear(nn.Linear):
    def __init__(self, alone: nn.Linear) -> None:
        super().__init__(alone.in_features, alone.out_features, bias=False)
        self.factors: dict[str, float] = alone.factors  # type: ignore[assignment]

    def forward(self, values: Tensor) -> Tensor:
        """See `unit_scaling.linear`."""
        elements = values.numel() // values.shape[-1] // self.weight.shape[0]
        values = unit_scaling.scaled(values, backward=self.factors["backward"])
        weight = unit_scaling.scaled(self.weight, backward=elements**-0.5)
        return unit_scaling.scaled(_mapped(values, weight), forward=self.factors["forward"])


class _UnitScaledRMSNorm(nn.RMSNorm):
    def forward(self, values: Tensor) -> Tensor:
        """See `unit_scaling.rms_norm`."""
        factor = (self.weight.numel() / values.numel()) ** 0.5
        gain = unit_scaling.scaled(self.weight, backward=factor)
        return _normalised(values, gain, self.eps)


def _looked_up(tokens: Tensor, tables: Tensor) -> Tensor:
    members, rows, _ = tables.shape
    first = torch.arange(0, members * rows, rows, device=tokens.device).view(-1, 1, 1)
    return F.embedding((tokens + first).flatten(0, 1), tables.flatten(0, 1))


def _mapped(values: Tensor, weights: Tensor) -> Tensor:
    unfolded = values.reshape(weights.shape[0], -1, weights.shape[2])
    return torch.bmm(unfolded, weights.mT).view(*values.shape[:-1], -1)


def _normalised(values: Tensor, gains: Tensor, eps: float | None) -> Tensor:
    members, size = gains.shape
    normal = F.rms_norm(values, (size,), None, eps).view(members, -1, size)
    return (normal * gains.unsqueeze(1)).view(values.shape)
