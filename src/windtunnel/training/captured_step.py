"""A population's step as one CUDA graph: launched whole, so that small kernels cost no time."""

from __future__ import annotations

import torch
from torch import Tensor

from windtunnel.models.family import Batch
from windtunnel.training.stacked_step import StackedStep

# Torch asks for a few before a capture: libraries choose kernels and allocate on the first.
WARM_UP = 3


class CapturedStep:
    """`StackedStep` as a graph; to be captured anew when members were taken out."""

    def __init__(self, step: StackedStep, batch: Batch, multipliers: Tensor) -> None:
        """Capture, leaving parameters and state as they were.

        Args:
            step: On a GPU.
            batch: Any; all batches must have its shapes.
            multipliers: As `StackedStep` takes them.
        """
        self._inputs = tuple(tensor.clone() for tensor in (*batch, multipliers))
        *given, factors = self._inputs
        static = given[0], given[1]
        before = [tensor.clone() for tensor in step.held()]
        beside = torch.cuda.Stream(multipliers.device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(multipliers.device))
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                step(static, factors)
        torch.cuda.current_stream(multipliers.device).wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(multipliers.device), torch.cuda.graph(self._graph):
            self._outputs = step(static, factors)
        for tensor, value in zip(step.held(), before, strict=True):
            tensor.copy_(value)

    def __call__(self, batch: Batch, multipliers: Tensor) -> tuple[Tensor, Tensor]:
        """As `StackedStep`."""
        for held, value in zip(self._inputs, (*batch, multipliers), strict=True):
            held.copy_(value, non_blocking=True)
        self._graph.replay()
        losses, norms = self._outputs
        return losses.clone(), norms.clone()
