"""The update of Muon and the torch optimizer around it.

It is torch's own, except on CPUs: `torch.optim.Muon` always iterates in bfloat16, which a CPU
without bfloat16 instructions does 17 to 24 times slower than in float32 (256 x 256 and 128 x 128
matrices, one core). There we keep the gradient's precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

# Jordan et al. 2024: their slope at zero is steep, so five steps bring all but the smallest
# singular values to between 0.7 and 1.2.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonalise(matrices: Tensor, *, eps: float, dtype: torch.dtype) -> Tensor:
    """Bring every singular value near one, by a quintic Newton-Schulz iteration.

    Args:
        matrices: One, or a stack of them along leading axes.
        eps: The Frobenius norm is not taken for less: what is smaller stays below one.
        dtype: Precision of the iteration and of what is returned.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).to(dtype)
    leading, x = x.shape[:-2], x.reshape(-1, *x.shape[-2:])
    # Frobenius norms bound singular values: the iteration needs them at most one.
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=eps)
    for _ in range(STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    x = x.reshape(*leading, *x.shape[-2:])
    return x.mT if tall else x


@torch.no_grad()
def muon_(
    parameter: Tensor,
    gradient: Tensor,
    moving: Tensor,
    *,
    lr: float,
    factor: float,
    momentum: float,
    weight_decay: float,
    eps: float,
    dtype: torch.dtype,
) -> None:
    """Take one step in place: `w -= lr * (factor * orthogonal(gradient) + weight_decay * w)`.

    Args:
        parameter: A matrix, or a stack of them along leading axes; updated.
        gradient: Of the parameter's shape.
        moving: Moving mean of the gradient, updated; zeros at first. Nesterov's correction looks
            one step ahead.
        lr: Learning rate.
        factor: What the shape puts on the rate; decay goes without.
        momentum: Decay of `moving`.
        weight_decay: Coupled, as torch's AdamW has it.
        eps: As for `orthogonalise`.
        dtype: As for `orthogonalise`.
    """
    moving.lerp_(gradient, 1 - momentum)
    ahead = gradient.lerp(moving, momentum)
    parameter.mul_(1 - lr * weight_decay)
    parameter.add_(orthogonalise(ahead, eps=eps, dtype=dtype), alpha=-lr * factor)


class Muon(Optimizer):
    """Muon over groups of matrices.

    Args:
        params: Matrices, or groups of them.
        own_factor: From a matrix' shape to what it puts on the rate.
        lr: Learning rate.
        momentum: Decay of the gradient's moving mean.
        weight_decay: Coupled with the rate.
        eps: Least Frobenius norm of a gradient.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        own_factor: Callable[[tuple[int, ...]], float],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        eps: float = 1e-7,
    ) -> None:
        """Work out every matrix' factor; state is made at the first step."""
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eps": eps}
        self.own_factor = own_factor
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Update every matrix that has a gradient; the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["moving"] = torch.zeros_like(gradient)
        muon_(
            parameter,
            gradient,
            state["moving"],
            lr=group["lr"],
            factor=self.own_factor(tuple(parameter.shape)),
            momentum=group["momentum"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            dtype=gradient.dtype if gradient.device.type == "cpu" else torch.bfloat16,
        )

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: torch's own, and the factor."""
        return {**super().__getstate__(), "own_factor": self.own_factor}
