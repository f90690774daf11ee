"""The validation loss and how sure it is."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import nn

from windtunnel.models.family import Family
from windtunnel.training.batches import Batches, to_device


def validate(
    model: nn.Module,
    *,
    family: Family,
    batches: Batches,
    sequences: int,
    precision: AbstractContextManager[object],
) -> tuple[float, float | None]:
    """Mean loss over the fixed validation set.

    Sequences count alike. The standard error is that of their mean, `std / sqrt(n)`: the noise of
    having validated on these sequences and not on others, which seeds of one study share.

    Args:
        model: The trained model; left in training mode.
        family: Knows the loss of each sequence.
        batches: Gives the validation set.
        sequences: Sequences asked for; a short text may have fewer.
        precision: Autocast or nothing, as in training.

    Returns:
        Mean and standard error; the latter is None for a single sequence.
    """
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad(), precision:
        losses = torch.cat(
            [
                family.sequence_losses(model, to_device(batch, device)).double()
                for batch in batches.validation(sequences)
            ]
        )
    model.train()
    if len(losses) < 2:
        return losses.mean().item(), None
    return losses.mean().item(), (losses.std(correction=1) / len(losses) ** 0.5).item()
