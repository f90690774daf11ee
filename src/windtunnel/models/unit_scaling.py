"""Unit-scaled operations: activations, weights and gradients that start at scale one.

An operation multiplies what it puts out by one factor and what it passes back by another, so that
both have unit scale when their inputs have (Blake et al. 2023, arXiv 2303.11257). A factor of the
backward pass alone is safe where it multiplies a whole gradient: every parameter's then points
where the true one does, and only its length differs. So inputs of one branch share their factor,
and a factor may differ between the passes only where all that flows back goes through it: at a
parameter, at the readout, or where another layer of the branch makes up for it.

The factors are those of u-muP (Blake et al. 2024, arXiv 2407.17465) in the `unit-scaling` package,
0.3.5; benchmarks/results/oracles.md holds the two equal.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class _Scaled(torch.autograd.Function):
    """Multiply by one factor forward and by another backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, forward: float, backward: float) -> Tensor:
        return values.view_as(values) if forward == 1.0 else values * forward

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.factor = inputs[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return (gradient if ctx.factor == 1.0 else gradient * ctx.factor), None, None


def scaled(values: Tensor, *, forward: float = 1.0, backward: float = 1.0) -> Tensor:
    """Multiply values by `forward` and their gradient by `backward`.

    Args:
        values: Any shape.
        forward: Factor on the values.
        backward: Factor on the gradient that passes back; `forward` has no part in it.

    Returns:
        The same shape.
    """
    if not torch.is_grad_enabled():  # evaluation is made of torch's own operations alone
        return values if forward == 1.0 else values * forward
    result: Tensor = _Scaled.apply(values, forward, backward)  # type: ignore[no-untyped-call]
    return result


def linear(values: Tensor, weight: Tensor, *, forward: float, backward: float) -> Tensor:
    """A linear map whose weight's gradient has unit scale.

    Args:
        values: (..., fan-in).
        weight: (fan-out, fan-in), entries of unit scale.
        forward: Factor on the output.
        backward: Factor on the gradient of `values`.

    Returns:
        (..., fan-out).
    """
    elements = values.numel() // values.shape[-1]
    values = scaled(values, backward=backward)
    weight = scaled(weight, backward=elements**-0.5)
    return scaled(F.linear(values, weight), forward=forward)


def embedding(tokens: Tensor, table: Tensor) -> Tensor:
    """Rows of a table; each is expected in `tokens / rows` places, whose gradients add up.

    Args:
        tokens: Token ids, any shape.
        table: (rows, width), entries of unit scale.

    Returns:
        (*tokens.shape, width).
    """
    return F.embedding(tokens, scaled(table, backward=(table.shape[0] / tokens.numel()) ** 0.5))


def rms_norm(values: Tensor, gain: Tensor, eps: float) -> Tensor:
    """Root-mean-square normalisation over the last dimension; only the gain needs a factor.

    Args:
        values: (..., size).
        gain: (size,).
        eps: Added to the mean square.

    Returns:
        The same shape as `values`.
    """
    gain = scaled(gain, backward=(gain.numel() / values.numel()) ** 0.5)
    return F.rms_norm(values, gain.shape, gain, eps)


def swiglu(gate: Tensor, values: Tensor, alpha: float = 1.0) -> Tensor:
    """`values * gate * sigmoid(alpha * gate)` at unit scale.

    Args:
        gate: Unit scale, any shape.
        values: Unit scale, the same shape.
        alpha: How sharp the gate is: u-muP's alpha_ffn-act.

    Returns:
        The same shape.
    """
    # sigmoid is 1/2 where it is flat and 0 or 1 where it is sharp.
    factor = _between(1 / (1 + 1 / alpha**2), 2.0, 2**0.5)
    gate, values = scaled(gate, backward=factor), scaled(values, backward=factor)
    gated = F.silu(gate) if alpha == 1.0 else F.silu(alpha * gate) / alpha
    return scaled(values * gated, forward=factor)


def squared_relu(values: Tensor) -> Tensor:
    """Squared ReLU at unit scale: the mean of max(x, 0)^4 is 3/2 for a standard normal x.

    Derived here: neither the paper nor its package has it.

    Args:
        values: Unit scale, any shape.

    Returns:
        The same shape; its mean is not zero.
    """
    factor = (2 / 3) ** 0.5
    return scaled(F.relu(scaled(values, backward=factor)).square(), forward=factor)


def causal_attention(query: Tensor, key: Tensor, value: Tensor, alpha: float = 1.0) -> Tensor:
    """Causal attention with logits `alpha q k / head size`, rescaled to about unit scale.

    The factor is u-muP's model of what attention puts out: the mean of the values seen so far
    where the softmax is flat, one of them where it is sharp. It depends on the length, so that a
    sequence gives other outputs when it is cut: evaluate at the length that was trained at.

    Args:
        query: (batch, heads, length, head size), unit scale.
        key: The same shape.
        value: The same shape.
        alpha: u-muP's alpha_attn-softmax.

    Returns:
        The same shape.
    """
    length, head_size = value.shape[-2:]
    flat = math.log(length) / length if length > 1 else 1.0
    factor = 1 / _between(1 / (1 + 4 * head_size / alpha**2), flat**0.5, 1.0)
    query, key, value = (scaled(values, backward=factor) for values in (query, key, value))
    mixed = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=alpha / head_size
    )
    return scaled(mixed, forward=factor)


def split(hidden: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Start a residual branch; see `join`.

    Args:
        hidden: The residual stream, unit scale.
        tau: Weight of the branch over that of what passes by.

    Returns:
        The input of the branch, and what passes by.
    """
    norm = math.hypot(1.0, tau)
    return scaled(hidden, backward=tau / norm), scaled(hidden, backward=1 / norm)


def join(branch: Tensor, skip: Tensor, tau: float) -> Tensor:
    """End a residual branch: `(tau branch + skip) / sqrt(1 + tau^2)`.

    The gradient takes the branch's factor where it leaves the branch, at `split`, so that inside
    the branch it has unit scale as well.

    Args:
        branch: What the branch put out, unit scale.
        skip: What passed by.
        tau: As for `split`.

    Returns:
        The residual stream, unit scale.
    """
    norm = math.hypot(1.0, tau)
    return scaled(branch, forward=tau / norm) + scaled(skip, forward=1 / norm)


def residual_weight(
    branch: int, branches: int, alpha: float = 1.0, attention_ratio: float = 1.0
) -> float:
    """Weight of a residual branch by u-muP's appendix G, where attention and MLP take turns.

    All attention branches then contribute alike, all MLP branches alike, and all of them together
    `alpha` times (in root mean square over the two kinds) as much as the embedding.

    Args:
        branch: Index from 0; the even ones are attention.
        branches: How many there are: two for each block.
        alpha: u-muP's alpha_res.
        attention_ratio: u-muP's alpha_res-attn-ratio: attention's contribution over the MLP's.

    Returns:
        The branch's tau.
    """
    mlp = alpha * math.sqrt(2 / (1 + attention_ratio**2))
    attention = attention_ratio * mlp
    before = (branch + 1) // 2 * attention**2 + branch // 2 * mlp**2
    return (mlp if branch % 2 else attention) / math.sqrt(branches / 2 + before)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy whose gradient at each logit has unit scale.

    The gradient is that of the sum over targets, times `n / sqrt(n - 1)` for n classes: where all
    are equally likely, entries of softmax less one-hot have a root mean square of
    `sqrt(n - 1) / n`.

    Args:
        logits: (targets, classes).
        targets: (targets,), class ids.

    Returns:
        The mean, a scalar tensor, in nats.
    """
    losses = F.cross_entropy(scaled_logits(logits), targets, reduction="sum")
    return scaled(losses, forward=1 / len(logits))


def scaled_logits(logits: Tensor) -> Tensor:
    """Logits, (..., classes), whose gradients `cross_entropy` scales."""
    classes = logits.shape[-1]
    return scaled(logits, backward=classes / math.sqrt(max(1, classes - 1)))


class UnitScaledLinear(nn.Linear):
    """`linear` as a module without bias, whose weight starts N(0, 1)."""

    def __init__(self, fan_in: int, fan_out: int, *, forward: float, backward: float) -> None:
        super().__init__(fan_in, fan_out, bias=False)
        self.factors = {"forward": forward, "backward": backward}

    def reset_parameters(self) -> None:
        """Draw the weight."""
        nn.init.normal_(self.weight)

    def forward(self, values: Tensor) -> Tensor:
        """Map (..., fan-in) to (..., fan-out)."""
        return linear(values, self.weight, **self.factors)


class UnitScaledEmbedding(nn.Embedding):
    """`embedding` as a module, whose table starts N(0, 1)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Look token ids up: (...) to (..., width)."""
        return embedding(tokens, self.weight)


class UnitScaledRMSNorm(nn.RMSNorm):
    """`rms_norm` as a module, whose gain starts at one."""

    def __init__(self, size: int, *, eps: float) -> None:
        super().__init__(size, eps=eps)
        self.epsilon = eps

    def forward(self, values: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return rms_norm(values, self.weight, self.epsilon)


def _between(share: float, low: float, high: float) -> float:
    """Interpolate between two sizes by their logarithms."""
    return math.exp(share * math.log(high) + (1 - share) * math.log(low))
