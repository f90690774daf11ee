"""A user's own model factory and loss, seen as a family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from windtunnel.models.family import JSON, Declarations, ParameterCount
from windtunnel.scale import Scale


@dataclass(frozen=True, slots=True)
class FunctionFamily:
    """What a user's `build(width, depth)` builds and `step(model, batch)` measures.

    Attributes:
        function: `build(width, depth) -> nn.Module`.
        step: `step(model, batch) -> loss`, a scalar tensor; the batch is whatever the user's own
            batches are. None where only shapes are asked for, as by a plan.
        declarations: What shapes can't tell about the model; needed for rules in depth and for
            tied heads.
    """

    function: Callable[[int, int], nn.Module]
    step: Callable[[nn.Module, Any], Tensor] | None = None
    declarations: Declarations = field(default_factory=Declarations)

    name = "function"

    def options(self) -> dict[str, JSON]:
        """The functions' names: the closest to an identity that a function has."""
        return {
            "build": _qualified_name(self.function),
            "step": None if self.step is None else _qualified_name(self.step),
        }

    def build(self, scale: Scale) -> nn.Module:
        """Call the user's function."""
        return self.function(scale.width, scale.depth)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Call the user's step.

        Raises:
            TypeError: The family was made without one.
        """
        if self.step is None:
            raise TypeError("this FunctionFamily was made without step(model, batch) -> loss")
        return self.step(model, batch)

    def sequence_losses(self, model: nn.Module, batch: Any) -> Tensor:
        """One value, the whole batch's loss, shape (1,): a step tells no examples apart."""
        return self.loss(model, batch).reshape(1)

    def parameter_count(self, scale: Scale) -> ParameterCount:
        """Count on the meta device; nothing is known to be an embedding table."""
        with torch.device("meta"):
            model = self.build(scale)
        return ParameterCount(total=sum(p.numel() for p in model.parameters()), embedding=0)

    def flops_per_unit(self, scale: Scale, sequence_length: int) -> float:
        """6 x parameters: an approximation, since nobody counted this model's FLOPs.

        It is exact for dense layers that read each unit once (Kaplan et al. 2020, section 2.1),
        too low for convolutions and attention, and too high for lookup tables.
        """
        return 6.0 * self.parameter_count(scale).non_embedding


def _qualified_name(function: Callable[..., Any]) -> str:
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
