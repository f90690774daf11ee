"""What the rest of Windtunnel may ask of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class OptimizerMethod:
    """An optimizer by name.

    Attributes:
        name: Name in the registry, `windtunnel.optimizers`.
        geometry: What its updates do to the sizes of hidden matrices: scaling rules are derived
            from it.
        build: Makes the torch optimizer. Its groups carry `params`, `lr`, `weight_decay` and
            `eps`, already scaled by the plan, and the `geometry` of their parameters where it is
            not the same for all; everything else comes from the recipe.
        elsewhere: What updates do to all other parameters, where that differs (Muon's AdamW).
        own_factor: From a matrix' shape to the factor that the optimizer itself puts on its rate:
            a plan divides by it, so that no shape is scaled twice.
    """

    name: str
    geometry: Geometry
    build: Callable[[list[dict[str, Any]], Recipe], Optimizer]
    elsewhere: Geometry | None = None
    own_factor: Callable[[tuple[int, ...]], float] | None = None
