"""What a GPT is made of: torch's own operations, or unit-scaled ones in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.models import unit_scaling

NORM_EPS = 1e-6  # small beside the mean square of a tied table's rows, 4e-4


class Ops(Protocol):
    """Layers and functions, all of them without biases."""

    def embedding(self, rows: int, width: int) -> nn.Embedding:
        """A lookup table."""

    def linear(self, fan_in: int, fan_out: int, *, mirrored: bool = False) -> nn.Linear:
        """A linear map inside the network.

        Args:
            fan_in: Channels that are read.
            fan_out: Channels that are written.
            mirrored: Whether another layer of its branch maps fan-out back to fan-in.
        """

    def readout(self, fan_in: int, fan_out: int) -> nn.Linear:
        """The last linear map."""

    def norm(self, size: int) -> nn.RMSNorm:
        """A norm over the last dimension."""

    def gate(self, gate: Tensor, values: Tensor) -> Tensor:
        """SwiGLU of two tensors of one shape."""

    def squared_relu(self, values: Tensor) -> Tensor:
        """Squared ReLU."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Causal attention; all are (batch, heads, length, head size)."""

    def branch(self, function: Callable[[Tensor], Tensor], hidden: Tensor, index: int) -> Tensor:
        """Add `function(hidden)` to `hidden`, as the residual branch of that index from 0."""


@dataclass(frozen=True, slots=True)
class PlainOps:
    """Torch's own; matrices start N(0, 1/fan_in)."""

    def embedding(self, rows: int, width: int) -> nn.Embedding:
        """See `Ops`."""
        return nn.Embedding(rows, width)

    def linear(self, fan_in: int, fan_out: int, *, mirrored: bool = False) -> nn.Linear:
        """See `Ops`."""
        layer = nn.Linear(fan_in, fan_out, bias=False)
        nn.init.normal_(layer.weight, std=fan_in**-0.5)
        return layer

    def readout(self, fan_in: int, fan_out: int) -> nn.Linear:
        """See `Ops`."""
        return nn.Linear(fan_in, fan_out, bias=False)

    def norm(self, size: int) -> nn.RMSNorm:
        """See `Ops`."""
        return nn.RMSNorm(size, eps=NORM_EPS)

    def gate(self, gate: Tensor, values: Tensor) -> Tensor:
        """See `Ops`."""
        return F.silu(gate) * values

    def squared_relu(self, values: Tensor) -> Tensor:
        """See `Ops`."""
        return F.relu(values).square()

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `Ops`."""
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    def branch(self, function: Callable[[Tensor], Tensor], hidden: Tensor, index: int) -> Tensor:
        """See `Ops`."""
        return hidden + function(hidden)


@dataclass(frozen=True, slots=True)
class UnitScaledOps:
    """Those of u-muP (Blake et al. 2024, arXiv 2407.17465); all weights start N(0, 1).

    Attributes:
        branches: Residual branches of the model.
        ffn_act: Sharpness of the gate.
        attn_softmax: Factor on the attention logits.
        res: Contribution of all branches over the embedding's.
        res_attn_ratio: Contribution of attention over the MLPs'.
        loss_softmax: Factor on the logits.
    """

    branches: int
    ffn_act: float = 1.0
    attn_softmax: float = 1.0
    res: float = 1.0
    res_attn_ratio: float = 1.0
    loss_softmax: float = 1.0

    def embedding(self, rows: int, width: int) -> nn.Embedding:
        """See `Ops`."""
        return unit_scaling.UnitScaledEmbedding(rows, width)

    def linear(self, fan_in: int, fan_out: int, *, mirrored: bool = False) -> nn.Linear:
        """See `Ops`; the backward factor may be its own only where the mirror makes up for it."""
        forward = fan_in**-0.5
        backward = fan_out**-0.5 if mirrored else forward
        return unit_scaling.UnitScaledLinear(fan_in, fan_out, forward=forward, backward=backward)

    def readout(self, fan_in: int, fan_out: int) -> nn.Linear:
        """See `Ops`; nothing flows back but through it, so its backward factor is its own."""
        forward = self.loss_softmax / fan_in
        backward = fan_out**-0.5
        return unit_scaling.UnitScaledLinear(fan_in, fan_out, forward=forward, backward=backward)

    def norm(self, size: int) -> nn.RMSNorm:
        """See `Ops`."""
        return unit_scaling.UnitScaledRMSNorm(size, eps=NORM_EPS)

    def gate(self, gate: Tensor, values: Tensor) -> Tensor:
        """See `Ops`."""
        return unit_scaling.swiglu(gate, values, self.ffn_act)

    def squared_relu(self, values: Tensor) -> Tensor:
        """See `Ops`."""
        return unit_scaling.squared_relu(values)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `Ops`."""
        return unit_scaling.causal_attention(query, key, value, self.attn_softmax)

    def branch(self, function: Callable[[Tensor], Tensor], hidden: Tensor, index: int) -> Tensor:
        """See `Ops`."""
        tau = unit_scaling.residual_weight(index, self.branches, self.res, self.res_attn_ratio)
        inside, past = unit_scaling.split(hidden, tau)
        return unit_scaling.join(function(inside), past, tau)
