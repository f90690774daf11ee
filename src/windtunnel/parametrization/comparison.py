"""What comes of holding an optimizer's present settings against a plan."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windtunnel.scale import Role

QUANTITIES = ("lr", "weight_decay", "eps")


@dataclass(frozen=True, slots=True)
class Values:
    """What an optimizer is given for a parameter; None where it has no such setting."""

    lr: float
    weight_decay: float | None = None
    eps: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One parameter group: the names in it and what they share."""

    params: tuple[str, ...]
    values: Values


@dataclass(frozen=True, slots=True)
class Difference:
    """Parameters, alike in all their blocks, that the present settings treat otherwise.

    Attributes:
        name: Canonical name, with `*` for the block's index.
        count: Parameters of that name.
        role: What they are to scaling.
        shape: Shape of one of them.
        share: Their entries over those of the whole model.
        present: What the optimizer has now.
        planned: What the plan gives at the comparison's base values.
        octaves: For each quantity log2 of present over planned; infinite where one of the two is
            zero, 0 where both are or where one has no such setting.
        importance: Octaves of the rate, in size, times the square root of `share`.
    """

    name: str
    count: int
    role: Role
    shape: tuple[int, ...]
    share: float
    present: Values
    planned: Values
    octaves: Mapping[str, float]
    importance: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; octaves and importance that are infinite become null."""
        return {
            "name": self.name,
            "count": self.count,
            "role": str(self.role),
            "shape": list(self.shape),
            "share": self.share,
            "importance": _finite(self.importance),
            **{
                quantity: {
                    "present": getattr(self.present, quantity),
                    "planned": getattr(self.planned, quantity),
                    "octaves": _finite(self.octaves[quantity]),
                }
                for quantity in QUANTITIES
            },
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What present settings treat otherwise than a plan.

    Attributes:
        base: The values at base that the plan's factors were multiplied with.
        parameters: Parameters that were compared.
        differences: What differs, what matters most first.
    """

    base: Values
    parameters: int
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "base_values": dataclasses.asdict(self.base),
            "compared": self.parameters,
            "differences": [difference.to_json() for difference in self.differences],
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
