"""Gradients of one batch, a part of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from windtunnel.models.family import Batch
from windtunnel.training.batches import ArrayPair, to_device
from windtunnel.training.spread import synchronise

IGNORED = -100  # a target that torch's cross-entropy passes over


def add_gradients(
    model: nn.Module,
    loss: Callable[[nn.Module, Batch], Tensor],
    arrays: ArrayPair,
    *,
    device: torch.device,
    precision: AbstractContextManager[object],
    parts: int = 1,
    rank: int = 0,
    ranks: int = 1,
) -> Tensor:
    """Add the gradient of the whole batch's mean loss, as this process sees of it.

    Each part counts by its units that have a target, not as one of so many parts: the gradient
    equals that of the batch at once, to rounding, wherever targets are missing.

    Args:
        model: What the loss calls; under DDP or FSDP2 gradients are averaged over processes,
            which is made up for.
        loss: A mean over the targets it is given: a family's own, as a rule.
        arrays: The whole batch, the same on every process.
        device: Where to compute.
        precision: Autocast or nothing.
        parts: Passes of each process.
        rank: This process among those that see different parts of the batch.
        ranks: How many these are.

    Returns:
        This process's share of the batch's mean loss, a scalar; the sum over processes is the
        loss.
    """
    shares: list[Tensor] = []
    for number, (part, share) in enumerate(weighted_parts(arrays, parts, rank, ranks)):
        with precision:
            found = loss(model, to_device(part, device))
        with synchronise(model, now=number == parts - 1):
            _backward(found, share * ranks)
        shares.append(found.detach() if share == 1.0 else found.detach() * share)
    return shares[0] if len(shares) == 1 else torch.stack(shares).sum()


def weighted_parts(
    arrays: ArrayPair, parts: int, rank: int, ranks: int
) -> Iterator[tuple[ArrayPair, float]]:
    """This process's rows, in so many parts of one size, and the weight of each's mean loss."""
    inputs, targets = arrays
    total, size = _units(arrays), len(inputs) // (parts * ranks)
    for first in range(rank * parts * size, (rank + 1) * parts * size, size):
        part = inputs[first : first + size], targets[first : first + size]
        yield part, _units(part) / total


def _units(arrays: ArrayPair) -> int:
    """Targets that count: all but the ignored ones, of whole numbers; rows, of anything else."""
    targets = arrays[1]
    if targets.dtype.kind not in "iu":
        return len(targets)
    return int((targets != IGNORED).sum())


def _backward(loss: Tensor, weight: float) -> None:
    scaled = loss if weight == 1.0 else loss * weight
    scaled.backward()  # type: ignore[no-untyped-call]
