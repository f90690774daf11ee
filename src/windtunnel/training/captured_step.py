"""A population's step as one CUDA graph: launched whole, so that small kernels cost no time."""

from __future__ import annotations

import torch
from torch import Tensor

from windtunnel.errors import WindtunnelError
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

        Raises:
            WindtunnelError: Something in the step waits for the CPU, as some optimizers do.
        """
        self._inputs = tuple(tensor.clone() for tensor in (*batch, multipliers))
        *given, factors = self._inputs
        static, device = (given[0], given[1]), multipliers.device
        if not isinstance(step.count, Tensor):  # a number would be captured as it is now
            step.count = torch.tensor(float(step.count), dtype=torch.float64, device=device)
        before = [tensor.clone() for tensor in step.held()]
        beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()
        try:
            beside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(beside):
                for _ in range(WARM_UP):
                    step(static, factors)
            torch.cuda.current_stream(device).wait_stream(beside)
            with torch.cuda.device(device), torch.cuda.graph(self._graph):
                self._outputs = step(static, factors)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise WindtunnelError(
                f"population: its step can't be captured ({str(error).splitlines()[0]}); make it "
                "anew without capture"
            ) from error
        for tensor, value in zip(step.held(), before, strict=True):
            tensor.copy_(value)

    def __call__(self, batch: Batch, multipliers: Tensor) -> tuple[Tensor, Tensor]:
        """As `StackedStep`."""
        for held, value in zip(self._inputs, (*batch, multipliers), strict=True):
            held.copy_(value, non_blocking=True)
        self._graph.replay()
        losses, norms = self._outputs
        return losses.clone(), norms.clone()
