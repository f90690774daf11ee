"""What the rest of Windtunnel may ask of a model family, whatever its architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from windtunnel.scale import Powers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from windtunnel.scale import Scale

Batch: TypeAlias = "tuple[Tensor, Tensor]"  # inputs, targets
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Exact parameter counts, each shared tensor counted once.

    Attributes:
        total: Every trainable parameter.
        embedding: The input embedding table, where nothing but the input lookup reads it. A table
            that a tied head shares is a matrix product too, so it counts as non-embedding.
    """

    total: int
    embedding: int

    @property
    def non_embedding(self) -> int:
        """The N of every scaling law in Windtunnel: all parameters but the embedding table."""
        return self.total - self.embedding


@dataclass(frozen=True, slots=True)
class Declarations:
    """What a rule must know and shapes alone can't tell; `*` stands for any block index.

    Attributes:
        branch_outputs: Modules whose output is added to the residual stream: the last linear map
            of each branch.
        tied_head_gain: The norm gain that only a tied head reads: a readout multiplier that can't
            go into the shared table goes here. None where the head is untied.
        blocks: Modules of the residual stack: what lies below them scales with depth.
        layouts: For parameters whose module does not tell, the dimension that is written to and
            the one that is summed over, as (pattern, (fan-out, fan-in)): stacked experts, say.
        queries: Modules that put out the attention's queries (a linear map or a query norm);
            needed where heads grow.
        head_growth: The power of width that a head's size follows: 0 where heads only grow in
            number, 1 where their number is fixed.
        multipliers: Forward multipliers that the model itself applies to the output of a module,
            as (pattern, powers): a rule's own are then not applied a second time.
        scaled_gradients: Whether the model multiplies gradients by factors that its forward pass
            doesn't have (unit-scaled operations), so that their size tells nothing about rates.
    """

    branch_outputs: tuple[str, ...] = ()
    tied_head_gain: str | None = None
    blocks: str | None = None
    layouts: tuple[tuple[str, tuple[int, int]], ...] = ()
    queries: tuple[str, ...] = ()
    head_growth: float = 0.0
    multipliers: tuple[tuple[str, Powers], ...] = ()
    scaled_gradients: bool = False


class Family(Protocol):
    """A model at every scale, with its loss and its exact sizes."""

    @property
    def name(self) -> str:
        """Name in the registry, `windtunnel.models`."""

    @property
    def declarations(self) -> Declarations:
        """What shapes can't tell about the models this family builds."""

    def options(self) -> dict[str, JSON]:
        """All options, defaults included: they identify a run."""

    def build(self, scale: Scale) -> nn.Module:
        """Build the model in the standard parametrization, drawn from torch's global generator.

        Under `torch.device("meta")` it builds names and shapes without storage.

        Raises:
            WindtunnelError: The family has no model of this scale.
        """

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss of a batch as a scalar tensor (nats a token for text)."""

    def sequence_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss of each sequence, shape (batch,): what a standard error is computed from."""

    def parameter_count(self, scale: Scale) -> ParameterCount:
        """Count the parameters of `build(scale)` without building it."""

    def flops_per_unit(self, scale: Scale, sequence_length: int) -> float:
        """Training FLOPs of one unit (a token, for text): forward and backward, attention too."""
