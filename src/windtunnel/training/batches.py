"""What the loop asks of its data, and the step from NumPy to the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy.typing as npt
import torch

from windtunnel.models.family import Batch

ArrayPair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


class Batches(Protocol):
    """A source of batches: `windtunnel.data.batches.TokenBatches`, or the user's own."""

    def training(self, k: int, data_seed: int, sequences: int, /) -> ArrayPair:
        """Inputs and targets of batch k, a pure function of its arguments."""
        ...

    def validation(self, count: int, /) -> Iterator[ArrayPair]:
        """The same `count` sequences each time, in batches."""
        ...


def to_device(batch: ArrayPair, device: torch.device) -> Batch:
    """Both arrays as tensors; on a CPU they share the arrays' memory."""
    inputs, targets = batch
    return (
        torch.from_numpy(inputs).to(device, non_blocking=True),
        torch.from_numpy(targets).to(device, non_blocking=True),
    )
