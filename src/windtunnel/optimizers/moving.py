"""Moving means, as update rules keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def moving(mean: Tensor, value: Tensor, decay: float | Tensor) -> Tensor:
    """The mean's next value: `decay * mean + (1 - decay) * value`."""
    return mean.lerp(value, 1 - decay)


def zeros(parameter: Tensor) -> Tensor:
    """A mean before the first value, of the parameter's shape, precision and device."""
    return parameter.new_zeros(parameter.shape)
