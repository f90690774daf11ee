"""What there is to spend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.cost import CostModel

Unit = Literal["flops", "gpu_hours", "money"]
_FLAGS = {"flops": "--flops", "gpu_hours": "--gpu-hours", "money": "--money"}


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount to spend on training.

    Attributes:
        amount: How much.
        unit: Of what: FLOPs, hours of one device, or money in the unit of the rate.
    """

    amount: float
    unit: Unit

    @staticmethod
    def of(
        *,
        flops: float | None = None,
        gpu_hours: float | None = None,
        money: float | None = None,
    ) -> Budget:
        """The one that is given.

        Raises:
            WindtunnelError: None or several are given, or the amount is not positive.
        """
        amounts: dict[Unit, float | None] = {
            "flops": flops,
            "gpu_hours": gpu_hours,
            "money": money,
        }
        given: list[tuple[Unit, float]] = [
            (unit, amount) for unit, amount in amounts.items() if amount is not None
        ]
        if len(given) != 1:
            raise WindtunnelError(
                f"plan: {len(given)} budgets given; give one of {', '.join(_FLAGS.values())}"
            )
        unit, amount = given[0]
        if not (math.isfinite(amount) and amount > 0):
            raise WindtunnelError(f"plan: {_FLAGS[unit]} {amount} is not a positive number")
        return Budget(amount, unit)

    def flops(self, cost: CostModel | None) -> float:
        """The FLOPs it buys.

        Raises:
            WindtunnelError: Hours or money are given and their worth is not known.
        """
        if self.unit == "flops":
            return self.amount
        if cost is None:
            raise WindtunnelError(
                f"plan: {_FLAGS[self.unit]} buys FLOPs on some device; give --gpu, such as "
                "--gpu h100"
            )
        if self.unit == "gpu_hours":
            return cost.flops_of_hours(self.amount)
        return cost.flops_of_money(self.amount)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"amount": self.amount, "unit": self.unit}
