"""Family `gpt` stacked: the same modules, made of layers that hold all members' weights.

Members are folded into the batch axis, as (members x batch, length, width), wherever nothing but a
batch axis is needed: attention, rotary positions, gates. Linear maps, embeddings and gains unfold
them. So every operation is one of torch's own on plain tensors, and attention keeps its kernels.
"""

from __future__ import annotations


import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Batch
from windtunnel.models.gpt import GPTFamily
from windtunnel.models.gpt_blocks import GPT
from windtunnel.models.gpt_ops import NORM_EPS, PlainOps
from windtunnel.models.stacked import StackedParameters
from windtunnel.scale import Scale


class StackedGPT:
    """See `windtunnel.models.stacked.Stacked`."""

    def __init__(self, family: GPTFamily, scale: Scale) -> None:
        """Build the modules without storage.

        Raises:
            WindtunnelError: The family is unit-scaled: its factors count the elements of a batch.
        """
        if family.unit_scaled:
            raise WindtunnelError(
                "population: a unit-scaled gpt can't be stacked; train these runs one at a time"
            )
        with torch.device("meta"):
            self._model = GPT(family, scale, StackedOps())

    def losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """Mean cross-entropy of each member, shape (members,)."""
        return self._token_losses(parameters, batch).flatten(1).mean(dim=1)

    def sequence_losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """Mean cross-entropy of each sequence, shape (members, batch)."""
        return self._token_losses(parameters, batch).mean(dim=2)

    def _token_losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        inputs, targets = batch
        members = next(iter(parameters.values())).shape[0]
        logits = functional_call(self._model, dict(parameters), (inputs,))
        repeated = targets.expand(members, *targets.shape)
        losses = F.cross_entropy(logits.flatten(0, 1), repeated.flatten(), reduction="none")
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


class _Embedding(nn.Embedding):
    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, length) to (members x batch, length, width)."""
        members, rows, _ = self.weight.shape
        first = torch.arange(0, members * rows, rows, device=tokens.device).view(-1, 1, 1)
        return F.embedding((tokens + first).flatten(0, 1), self.weight.flatten(0, 1))


class _Linear(nn.Linear):
    def forward(self, values: Tensor) -> Tensor:
        """Map (members x batch, ..., fan-in) to the same with fan-out."""
        unfolded = values.reshape(self.weight.shape[0], -1, self.weight.shape[2])
        return torch.bmm(unfolded, self.weight.mT).view(*values.shape[:-1], -1)


class _RMSNorm(nn.RMSNorm):
    def forward(self, values: Tensor) -> Tensor:
        """Normalise the last axis of (members x batch, ..., size)."""
        members, size = self.weight.shape
        normal = F.rms_norm(values, (size,), None, self.eps).view(members, -1, size)
        return (normal * self.weight.unsqueeze(1)).view(values.shape)
