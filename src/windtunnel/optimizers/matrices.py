"""What update rules of matrices share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from torch import Tensor


def refuse_other_than_matrices(shape: tuple[int, ...]) -> None:
    """Raise WindtunnelError unless the shape has two dimensions."""
    if len(shape) != 2:
        raise WindtunnelError(
            f"optimizer: this one takes matrices only, not a parameter of shape {list(shape)}; "
            "build it through a plan, which leaves all but hidden matrices to AdamW"
        )


def widened(tensor: Tensor) -> Tensor:
    """In float32 at least."""
    import torch

    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def standard_normal(shape: tuple[int, ...], number: int) -> Tensor:
    """What a rule draws for the optimizer's parameter of that number; always the same, in float64.

    Args:
        shape: Of the parameter itself, without a population.
        number: `At.number`.
    """
    import torch

    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def shuffled(count: int, number: int, period: int) -> Tensor:
    """The numbers below `count` in an order that the parameter's number and the period decide."""
    import torch

    generator = torch.Generator().manual_seed(1_000_003 * number + period)
    return torch.randperm(count, generator=generator)
