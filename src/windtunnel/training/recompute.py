"""Activation checkpointing: keep a block's input only, and compute the rest again for backward."""

from __future__ import annotations

import fnmatch
import functools

from torch import nn
from torch.utils.checkpoint import checkpoint

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations


def blocks_of(model: nn.Module, declarations: Declarations) -> list[nn.Module]:
    """The modules of the residual stack, in the model's order; none where nobody declared them."""
    pattern = declarations.blocks
    if pattern is None:
        return []
    depth = pattern.count(".")
    return [
        module
        for name, module in model.named_modules()
        if name.count(".") == depth and fnmatch.fnmatchcase(name, pattern)
    ]


def recompute_blocks_(model: nn.Module, declarations: Declarations) -> None:
    """Let every block of the model keep its input only; names and values stay as they are.

    A training step computes each block's forward pass twice: a third more work for the blocks.

    Raises:
        WindtunnelError: The family declares no blocks, or the model has none of that name.
    """
    blocks = blocks_of(model, declarations)
    if not blocks:
        raise WindtunnelError(
            "training.recompute: the family declares no blocks that this model has, so nothing "
            "can be recomputed; leave it off."
        )
    for block in blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
