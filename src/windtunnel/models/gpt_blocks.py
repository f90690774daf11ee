"""The modules of family `gpt`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from windtunnel.models.packed_documents import (
    attend_within,
    document_mask,
    document_numbers,
    document_positions,
)
from windtunnel.models.rotary import rotary_turns, rotate

if TYPE_CHECKING:
    from windtunnel.models.gpt import GPTFamily
    from windtunnel.models.gpt_ops import Ops
    from windtunnel.scale import Scale

TIED_EMBEDDING_STD = 0.02  # GPT-2's: a table that is also the readout has to start small


class GPT(nn.Module):
    """The model of `GPTFamily` at one scale: token ids (batch, length) to logits (..., vocabulary).

    It holds parameters and no buffers, so a model that was built on the meta device is whole as
    soon as its parameters are; a tied head stays tied on the way.
    """

    def __init__(self, family: GPTFamily, scale: Scale, ops: Ops | None = None) -> None:
        """Draw the weights as `GPTFamily.build` says; operations are by default the family's."""
        super().__init__()
        ops = ops or family.ops(scale)
        self.head_size = family.head_size
        self.embedding = ops.embedding(family.vocabulary_size, scale.width)
        self.blocks = nn.ModuleList(Block(family, ops, scale.width, i) for i in range(scale.depth))
        self.final_norm = ops.norm(scale.width)
        self.head = ops.readout(scale.width, family.vocabulary_size)
        self.tied = family.tied
        self.separator = family.separator
        self._tie()
        if not family.unit_scaled:
            if not family.tied:
                nn.init.zeros_(self.head.weight)
            nn.init.normal_(self.embedding.weight, std=TIED_EMBEDDING_STD if family.tied else 1.0)
        self.register_load_state_dict_post_hook(_tie_again)  # type: ignore[no-untyped-call]

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of every next token, shape (batch, length, vocabulary)."""
        turns = rotary_turns(tokens.shape[1], self.head_size, tokens.device)
        hidden = self.embedding(tokens)
        mask = None
        if self.separator is not None:
            # Stacked layers give (members x batch, length, width).
            rows = tokens.expand(hidden.shape[0] // len(tokens), *tokens.shape).flatten(0, 1)
            documents = document_numbers(rows, self.separator)
            turns, mask = turns[document_positions(documents)], document_mask(documents)
        for block in self.blocks:
            hidden = block(hidden, turns, mask)
        logits: Tensor = self.head(self.final_norm(hidden))
        return logits

    def _tie(self) -> None:
        if self.tied:
            self.head.weight = self.embedding.weight

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GPT:
        # Leaving the meta device gives each name its own tensor, as does loading with assign=True.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._tie()
        return self


class Block(nn.Module):
    """Two residual branches, each with its norm in front."""

    def __init__(self, family: GPTFamily, ops: Ops, width: int, index: int) -> None:
        """Draw the weights as `GPTFamily.build` says; the index counts blocks from 0."""
        super().__init__()
        self.ops = ops
        self.index = index
        self.attention_norm = ops.norm(width)
        self.attention = Attention(family, ops, width)
        self.mlp_norm = ops.norm(width)
        self.mlp = MLP(family, ops, width)

    def forward(self, hidden: Tensor, turns: Tensor, mask: Tensor | None) -> Tensor:
        """Map (batch, length, width) to the same shape."""

        def attention(values: Tensor) -> Tensor:
            mixed: Tensor = self.attention(self.attention_norm(values), turns, mask)
            return mixed

        def mlp(values: Tensor) -> Tensor:
            mapped: Tensor = self.mlp(self.mlp_norm(values))
            return mapped

        hidden = self.ops.branch(attention, hidden, 2 * self.index)
        return self.ops.branch(mlp, hidden, 2 * self.index + 1)


class Attention(nn.Module):
    """Causal attention with rotary positions; several query heads may share keys and values."""

    def __init__(self, family: GPTFamily, ops: Ops, width: int) -> None:
        """Draw the weights as `GPTFamily.build` says."""
        super().__init__()
        self.ops = ops
        self.head_size = family.head_size
        self.query_groups = family.query_groups
        shared = width // family.query_groups
        self.query = ops.linear(width, width)
        self.key = ops.linear(width, shared)
        self.value = ops.linear(width, shared)
        self.output = ops.linear(width, width)
        self.query_norm: nn.Module = nn.Identity()
        self.key_norm: nn.Module = nn.Identity()
        if family.qk_norm:
            self.query_norm = ops.norm(family.head_size)
            self.key_norm = ops.norm(family.head_size)
        elif not family.unit_scaled:
            nn.init.zeros_(self.query.weight)

    def forward(self, hidden: Tensor, turns: Tensor, mask: Tensor | None) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        shape = (*hidden.shape[:2], -1, self.head_size)
        query = _at_least_float32(self.query(hidden)).view(shape)
        key = _at_least_float32(self.key(hidden)).view(shape)
        query = rotate(self.query_norm(query), turns)
        key = rotate(self.key_norm(key), turns)
        value = self.value(hidden).view(shape)
        if self.query_groups > 1:
            key = key.repeat_interleave(self.query_groups, dim=2)
            value = value.repeat_interleave(self.query_groups, dim=2)
        query, key, value = (heads.transpose(1, 2) for heads in (query, key, value))
        if mask is None:
            mixed = self.ops.attend(query, key, value)
        else:
            mixed = attend_within(query, key, value, mask)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output


class MLP(nn.Module):
    """SwiGLU or squared ReLU, applied to each position."""

    def __init__(self, family: GPTFamily, ops: Ops, width: int) -> None:
        """Draw the weights as `GPTFamily.build` says."""
        super().__init__()
        self.ops = ops
        inner = family.mlp_width(width)
        gated = family.activation == "swiglu"
        self.gate = ops.linear(width, inner, mirrored=True) if gated else None
        self.up = ops.linear(width, inner, mirrored=True)
        self.down = ops.linear(inner, width, mirrored=True)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        if self.gate is None:
            inner = self.ops.squared_relu(self.up(hidden))
        else:
            inner = self.ops.gate(self.gate(hidden), self.up(hidden))
        output: Tensor = self.down(inner)
        return output


def _tie_again(model: GPT, _incompatible_keys: object) -> None:
    model._tie()


def _at_least_float32(values: Tensor) -> Tensor:
    # Under autocast: complex numbers and the fused norm take no bfloat16.
    return values.to(torch.promote_types(values.dtype, torch.float32))
