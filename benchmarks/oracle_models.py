"""Models that are built alike here, with `mup` and with `unit-scaling`."""

from __future__ import annotations

from types import ModuleType

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.models.gpt import GPTFamily
from windtunnel.models.rotary import rotary_turns, rotate
from windtunnel.scale import Scale

TOKENS = 17  # distinct ones


class MLP(nn.Module):
    """Three layers with biases; the class of the last one is the peer's own."""

    def __init__(self, width: int, depth: int, readout: type[nn.Linear] = nn.Linear) -> None:
        super().__init__()
        self.first = nn.Linear(TOKENS, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.readout = readout(width, TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of each next token from this one alone."""
        hidden = self.first(F.one_hot(tokens, TOKENS).to(self.first.weight.dtype))
        for layer in self.hidden:
            hidden = layer(F.gelu(hidden))
        logits: Tensor = self.readout(F.gelu(hidden))
        return logits


class Block(nn.Module):
    """Attention with heads of 8 channels and an MLP, each behind a layer norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        x = self.norm1(hidden)
        query, key, value = (
            layer(x).unflatten(-1, (-1, 8)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.output(mixed.transpose(1, 2).flatten(2))
        branch: Tensor = self.down(F.gelu(self.up(self.norm2(hidden))))
        return hidden + branch


class Transformer(nn.Module):
    """A decoder without positions; the class of the last layer is the peer's own."""

    def __init__(self, width: int, depth: int, readout: type[nn.Linear] = nn.Linear) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.readout = readout(width, TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of each next token."""
        hidden = self.embedding(tokens)
        for block in self.blocks:
            hidden = block(hidden)
        logits: Tensor = self.readout(self.norm(hidden))
        return logits


def unit_scaling_gpt(unit_scaling: ModuleType, family: GPTFamily, scale: Scale) -> nn.Module:
    """The built-in family's model, made of the package's modules, with the same names."""
    uu, U = unit_scaling, unit_scaling.functional  # noqa: N806
    width, inner = scale.width, family.mlp_width(scale.width)
    taus = unit_scaling.transformer_residual_scaling_rule(
        family.alpha_res, family.alpha_res_attn_ratio
    )

    def norm() -> nn.Module:
        made: nn.Module = uu.RMSNorm(width, eps=1e-6, elementwise_affine=True)
        return made

    class PeerBlock(nn.Module):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.attention_norm, self.mlp_norm = norm(), norm()
            self.attention, self.mlp = nn.Module(), nn.Module()
            for name in ("query", "key", "value", "output"):
                setattr(self.attention, name, uu.Linear(width, width))
            self.mlp.gate = uu.Linear(width, inner, constraint=None)
            self.mlp.up = uu.Linear(width, inner, constraint=None)
            self.mlp.down = uu.Linear(inner, width, constraint=None)
            self.taus = [taus(2 * index + i, 2 * scale.depth) for i in (0, 1)]

        def forward(self, hidden: Tensor) -> Tensor:
            turns = rotary_turns(hidden.shape[1], family.head_size, hidden.device)
            x, skip = U.residual_split(hidden, self.taus[0])
            x = self.attention_norm(x)
            q, k, v = (
                getattr(self.attention, name)(x).unflatten(-1, (-1, family.head_size))
                for name in ("query", "key", "value")
            )
            mixed = U.scaled_dot_product_attention(
                rotate(q, turns).transpose(1, 2),
                rotate(k, turns).transpose(1, 2),
                v.transpose(1, 2),
                is_causal=True,
                mult=family.alpha_attn_softmax,
            )
            x = self.attention.output(mixed.transpose(1, 2).flatten(2))
            x, skip = U.residual_split(U.residual_add(x, skip, self.taus[0]), self.taus[1])
            x = self.mlp_norm(x)
            x = U.silu_glu(self.mlp.up(x), self.mlp.gate(x), mult=family.alpha_ffn_act)
            joined: Tensor = U.residual_add(self.mlp.down(x), skip, self.taus[1])
            return joined

    class PeerGPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = uu.Embedding(family.vocabulary_size, width)
            self.blocks = uu.DepthModuleList(PeerBlock(i) for i in range(scale.depth))
            self.final_norm = norm()
            self.head = uu.LinearReadout(width, family.vocabulary_size)

        def forward(self, tokens: Tensor) -> Tensor:
            hidden = self.embedding(tokens)
            for block in self.blocks:
                hidden = block(hidden)
            logits: Tensor = self.head(self.final_norm(hidden))
            return logits

    return PeerGPT()
