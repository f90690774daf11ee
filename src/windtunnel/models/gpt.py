"""Family `gpt`: a decoder-only transformer in its usual present-day form, without biases."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import JSON, Batch, Declarations, ParameterCount
from windtunnel.models.rotary import rotary_turns, rotate
from windtunnel.scale import Scale

Activation = Literal["swiglu", "relu2"]

NORM_EPS = 1e-6  # small beside the mean square of a tied table's rows, 4e-4
TIED_EMBEDDING_STD = 0.02  # GPT-2's: a table that is also the readout has to start small


@dataclass(frozen=True, slots=True, kw_only=True)
class GPTFamily:
    """Decoder-only transformer: RMSNorm, rotary positions, gated or squared-ReLU MLP.

    Depth counts blocks; the number of heads grows with width, at a fixed head size.

    Attributes:
        vocabulary_size: Distinct tokens.
        head_size: Channels of one attention head.
        activation: `swiglu` (Shazeer 2020) or `relu2`, squared ReLU (So et al. 2021).
        tied: Whether the head reads the embedding table instead of its own weight.
        query_groups: Query heads that share one key and value head (Ainslie et al. 2023).
        qk_norm: Whether queries and keys are normalised over each head (Dehghani et al. 2023).
        mlp_ratio: Hidden channels of the MLP over width. By default 4 for `relu2` and 3 for
            `swiglu`: the usual 8/3 leaves a remainder at most widths, and then the shape of the
            model, not just its size, changes with width.
    """

    vocabulary_size: int
    head_size: int = 16
    activation: Activation = "swiglu"
    tied: bool = False
    query_groups: int = 1
    qk_norm: bool = False
    mlp_ratio: float | None = None

    name = "gpt"

    def __post_init__(self) -> None:
        """Refuse values that no model can have.

        Raises:
            WindtunnelError: One of them is wrong; the message names it.
        """
        for option in ("head_size", "query_groups"):
            value = getattr(self, option)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise _wrong(option, value, "a whole number from 1 up")
        if self.head_size % 2:
            raise _wrong("head_size", self.head_size, "an even number: positions rotate pairs")
        if self.activation not in get_args(Activation):
            raise _wrong("activation", self.activation, " or ".join(get_args(Activation)))
        for option in ("tied", "qk_norm"):
            if not isinstance(getattr(self, option), bool):
                raise _wrong(option, getattr(self, option), "true or false")
        ratio: Any = self.mlp_ratio
        if ratio is None:
            ratio = 4 if self.activation == "relu2" else 3
        number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
        if not (number and 0 < ratio < math.inf):
            raise _wrong("mlp_ratio", ratio, "a number above 0")
        object.__setattr__(self, "mlp_ratio", float(ratio))

    @staticmethod
    def from_options(options: dict[str, Any], *, vocabulary_size: int) -> GPTFamily:
        """Build the family from a study's options.

        Raises:
            WindtunnelError: An option is unknown or its value is wrong; the message names it.
        """
        known = {field.name for field in dataclasses.fields(GPTFamily)} - {"vocabulary_size"}
        for option in options:
            if option not in known:
                raise WindtunnelError(
                    f"family.options.{option}: family 'gpt' has no such option; "
                    f"known options: {', '.join(sorted(known))}"
                )
        return GPTFamily(vocabulary_size=vocabulary_size, **options)

    @property
    def declarations(self) -> Declarations:
        """Both branches of every block, and the final norm's gain where the head is tied."""
        return Declarations(
            branch_outputs=("blocks.*.attention.output", "blocks.*.mlp.down"),
            tied_head_gain="final_norm.weight" if self.tied else None,
            blocks="blocks.*",
        )

    def options(self) -> dict[str, JSON]:
        """All options; the vocabulary is the data's, and is not among them."""
        values = dataclasses.asdict(self)
        del values["vocabulary_size"]
        return values

    def build(self, scale: Scale) -> GPT:
        """Build the model: matrices N(0, 1/fan_in), gains 1, queries and readout 0.

        Queries and readout start at zero as Yang et al. 2022 (arXiv 2203.03466, appendix D.2)
        recommend. A normalised query starts as any other matrix: the norm's slope at zero is
        1/sqrt(eps). Embeddings are N(0, 1), or N(0, 0.02^2) if tied.

        Raises:
            WindtunnelError: The width does not divide into whole groups of heads.
        """
        self._validate(scale)
        return GPT(self, scale)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy, nats a token; inputs and targets are (batch, length) token ids."""
        inputs, targets = batch
        logits: Tensor = model(inputs)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def sequence_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy of each sequence, nats a token, shape (batch,)."""
        inputs, targets = batch
        logits: Tensor = model(inputs)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view_as(targets).mean(dim=1)

    def parameter_count(self, scale: Scale) -> ParameterCount:
        """Count exactly; a tied table counts once, as the head's (so as non-embedding)."""
        self._validate(scale)
        table = self.vocabulary_size * scale.width
        gains = scale.depth * (2 * scale.width + 2 * self.head_size * self.qk_norm) + scale.width
        inside = scale.depth * self._block_matrices(scale.width) + gains
        return ParameterCount(
            total=inside + (1 if self.tied else 2) * table, embedding=0 if self.tied else table
        )

    def flops_per_unit(self, scale: Scale, sequence_length: int) -> float:
        """Training FLOPs a token: three times those of the forward pass's matrix products.

        The backward pass computes two products for each one of the forward pass. The head and
        attention's two products (scores and weighted values) are included; attention counts the
        full square of positions, as torch's FLOP counter does, although half of it is masked.
        Elementwise work and the embedding lookup count nothing.
        """
        self._validate(scale)
        matrices = scale.depth * self._block_matrices(scale.width)
        head = self.vocabulary_size * scale.width
        attention = scale.depth * 2 * sequence_length * scale.width
        return 3.0 * 2.0 * (matrices + head + attention)

    def mlp_width(self, width: int) -> int:
        """Hidden channels of the MLP."""
        return max(1, round(cast(float, self.mlp_ratio) * width))

    def _block_matrices(self, width: int) -> int:
        attention = 2 * width * width + 2 * width * (width // self.query_groups)
        products = 3 if self.activation == "swiglu" else 2
        return attention + products * width * self.mlp_width(width)

    def _validate(self, scale: Scale) -> None:
        unit = self.head_size * self.query_groups
        if scale.width < 1 or scale.width % unit:
            raise WindtunnelError(
                f"scale.width: {scale.width} is no whole multiple of {unit} "
                f"(head_size {self.head_size} x query_groups {self.query_groups}); "
                f"use {max(1, round(scale.width / unit)) * unit}"
            )
        if scale.depth < 1:
            raise WindtunnelError(f"scale.depth: {scale.depth} blocks; use 1 or more")


class GPT(nn.Module):
    """The model of `GPTFamily` at one scale: token ids (batch, length) to logits (..., vocabulary).

    It holds parameters and no buffers, so a model that was built on the meta device is whole as
    soon as its parameters are; a tied head stays tied on the way.
    """

    def __init__(self, family: GPTFamily, scale: Scale) -> None:
        """Draw the weights as `GPTFamily.build` says."""
        super().__init__()
        self.head_size = family.head_size
        self.embedding = nn.Embedding(family.vocabulary_size, scale.width)
        self.blocks = nn.ModuleList(Block(family, scale.width) for _ in range(scale.depth))
        self.final_norm = nn.RMSNorm(scale.width, eps=NORM_EPS)
        self.head = nn.Linear(scale.width, family.vocabulary_size, bias=False)
        self.tied = family.tied
        self._tie()
        if not family.tied:
            nn.init.zeros_(self.head.weight)
        nn.init.normal_(self.embedding.weight, std=TIED_EMBEDDING_STD if family.tied else 1.0)
        self.register_load_state_dict_post_hook(_tie_again)  # type: ignore[no-untyped-call]

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of every next token, shape (batch, length, vocabulary)."""
        turns = rotary_turns(tokens.shape[1], self.head_size, tokens.device)
        hidden = self.embedding(tokens)
        for block in self.blocks:
            hidden = block(hidden, turns)
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

    def __init__(self, family: GPTFamily, width: int) -> None:
        """Draw the weights as `GPTFamily.build` says."""
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.attention = Attention(family, width)
        self.mlp_norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.mlp = MLP(family, width)

    def forward(self, hidden: Tensor, turns: Tensor) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        hidden = hidden + self.attention(self.attention_norm(hidden), turns)
        return hidden + cast(Tensor, self.mlp(self.mlp_norm(hidden)))


class Attention(nn.Module):
    """Causal attention with rotary positions; several query heads may share keys and values."""

    def __init__(self, family: GPTFamily, width: int) -> None:
        """Draw the weights as `GPTFamily.build` says."""
        super().__init__()
        self.head_size = family.head_size
        self.query_groups = family.query_groups
        shared = width // family.query_groups
        self.query = _linear(width, width)
        self.key = _linear(width, shared)
        self.value = _linear(width, shared)
        self.output = _linear(width, width)
        self.query_norm: nn.Module = nn.Identity()
        self.key_norm: nn.Module = nn.Identity()
        if family.qk_norm:
            self.query_norm = nn.RMSNorm(family.head_size, eps=NORM_EPS)
            self.key_norm = nn.RMSNorm(family.head_size, eps=NORM_EPS)
        else:
            nn.init.zeros_(self.query.weight)

    def forward(self, hidden: Tensor, turns: Tensor) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        heads = (*hidden.shape[:2], -1, self.head_size)
        query = _at_least_float32(self.query(hidden)).view(heads)
        key = _at_least_float32(self.key(hidden)).view(heads)
        query = rotate(self.query_norm(query), turns)
        key = rotate(self.key_norm(key), turns)
        value = self.value(hidden).view(heads)
        if self.query_groups > 1:
            key = key.repeat_interleave(self.query_groups, dim=2)
            value = value.repeat_interleave(self.query_groups, dim=2)
        mixed = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True
        )
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output


class MLP(nn.Module):
    """SwiGLU or squared ReLU, applied to each position."""

    def __init__(self, family: GPTFamily, width: int) -> None:
        """Draw the weights as `GPTFamily.build` says."""
        super().__init__()
        inner = family.mlp_width(width)
        self.gate = _linear(width, inner) if family.activation == "swiglu" else None
        self.up = _linear(width, inner)
        self.down = _linear(inner, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        if self.gate is None:
            inner = F.relu(self.up(hidden)).square()
        else:
            inner = F.silu(self.gate(hidden)) * self.up(hidden)
        output: Tensor = self.down(inner)
        return output


def _tie_again(model: GPT, _incompatible_keys: object) -> None:
    model._tie()


def _linear(fan_in: int, fan_out: int) -> nn.Linear:
    linear = nn.Linear(fan_in, fan_out, bias=False)
    nn.init.normal_(linear.weight, std=fan_in**-0.5)
    return linear


def _at_least_float32(values: Tensor) -> Tensor:
    # Under autocast: complex numbers and the fused norm take no bfloat16.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _wrong(option: str, value: object, wanted: str) -> WindtunnelError:
    return WindtunnelError(f"family.options.{option}: {value!r} won't do; give {wanted}")
