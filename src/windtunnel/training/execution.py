"""How a run is carried out, on what it is; nothing here changes what the run is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Sharding = Literal["fsdp", "ddp"]


@dataclass(frozen=True, slots=True)
class Execution:
    """How one run is trained.

    Attributes:
        sharding: What several processes do with the model: `fsdp` cuts parameters, gradients and
            optimizer state among them (torch's FSDP2), `ddp` copies the model to each.
        micro_batch: Sequences that a process sees at once; the rest of its part of a batch is
            accumulated. None for all of them.
        recompute: Whether each block's activations are computed again in the backward pass
            instead of being kept.
        compile: Whether each block is compiled by torch.
        asynchronous: Whether checkpoints are written while training goes on.
    """

    sharding: Sharding = "fsdp"
    micro_batch: int | None = None
    recompute: bool = False
    compile: bool = False
    asynchronous: bool = True

    def differences_in_rounding(self, ranks: int, tensor: int) -> dict[str, object]:
        """What may change the last bit of a loss, as part of a run's environment.

        Args:
            ranks: Processes that train the run.
            tensor: How many of them share one copy of the model's layers.
        """
        several = {"ranks": ranks, "tensor": tensor, "sharding": self.sharding}
        own = {"micro_batch": self.micro_batch, "compiled": self.compile or None}
        found = {**(several if ranks > 1 else {}), **own}
        return {name: value for name, value in found.items() if value is not None}
