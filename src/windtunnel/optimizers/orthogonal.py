"""The nearest matrix with equal singular values, by iteration (Jordan et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Jordan et al. 2024: their slope at zero is steep, so five steps bring all but the smallest
# singular values to between 0.7 and 1.2.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
# Columns a row from which the Gram matrix is the cheaper one to iterate on.
WIDE = 1.5
# Rows computed at once of a symmetric product: smaller blocks save more, in slower products. With
# no more rows than that, nothing is saved.
BLOCK = 128


def orthogonalise(
    matrices: Tensor,
    *,
    eps: float,
    dtype: torch.dtype,
    coefficients: tuple[float, float, float] = COEFFICIENTS,
    steps: int = STEPS,
) -> Tensor:
    """Bring every singular value near one, by a quintic Newton-Schulz iteration.

    The polynomial is Jordan's; the order of its products is our own, and differs by rounding.

    Args:
        matrices: One, or a stack of them along leading axes.
        eps: The Frobenius norm is not taken for less: what is smaller stays below one.
        dtype: Precision of the iteration and of what is returned.
        coefficients: Of the first, third and fifth power.
        steps: Number of iterations.
    """
    import torch

    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).to(dtype)
    leading = x.shape[:-2]
    # One matrix stays one: on a CPU, products of a stack of one take longer.
    x = x.reshape(-1, *x.shape[-2:]) if leading else x
    # Frobenius norms bound singular values: the iteration needs them at most one.
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=eps)
    if dtype.itemsize > 2 and x.shape[-2] > BLOCK:
        wide = x.shape[-1] >= WIDE * x.shape[-2]
        x = (_on_the_small_side if wide else _by_halves)(x, coefficients, int(steps))
    else:
        a, b, c = coefficients
        for _ in range(int(steps)):
            square = x @ x.mT
            x = _added(x, _added(square, square, square, beta=b, alpha=c), x, beta=a)
    x = x.reshape(*leading, *x.shape[-2:])
    return x.mT if tall else x


def _added(to: Tensor, left: Tensor, right: Tensor, *, beta: float, alpha: float = 1.0) -> Tensor:
    """`beta * to + alpha * left @ right` in one kernel, of one matrix or a stack."""
    import torch

    fused = torch.addmm if to.ndim == 2 else torch.baddbmm
    return fused(to, left, right, beta=beta, alpha=alpha)


def _by_halves(x: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """Step by step, with half of each symmetric product."""
    for _ in range(steps):
        factor = _correction(_symmetric(x, x), coefficients)
        x = _added(x, factor, x, beta=coefficients[0])
    return x


def _on_the_small_side(x: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """Some steps by the Gram matrix alone: each multiplies `x` by a polynomial of it.

    So only two products have the long side, instead of two a step. A step lengthens a small
    singular value by up to `first`, and so an error of its square by 12: single precision bears
    five steps of that, bfloat16 doesn't (cosine to the exact factor 0.974 instead of 0.984).
    """
    gram, product = _symmetric(x, x), None
    for step in range(steps):
        factor = _correction(gram, coefficients)
        factor.diagonal(dim1=-2, dim2=-1).add_(coefficients[0])
        product = factor if product is None else _symmetric(product, factor)
        if step + 1 < steps:
            gram = _symmetric(_symmetric(gram, factor), factor)
    return x if product is None else product @ x


def _correction(gram: Tensor, coefficients: tuple[float, float, float]) -> Tensor:
    """What a step multiplies by, beside its first coefficient: `third * g + fifth * g^2`."""
    _, third, fifth = coefficients
    return _symmetric(gram, gram).mul_(fifth).add_(gram, alpha=third)


def _symmetric(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right.mT` where that is symmetric: on a CPU its lower half is copied.

    Products of polynomials of one matrix are symmetric, as is a matrix times its own transpose.
    """
    rows = left.shape[-2]
    if rows <= BLOCK or left.device.type != "cpu":
        return left @ right.mT
    out = left.new_empty(*left.shape[:-1], rows)
    for begin in range(0, rows, BLOCK):
        end = min(begin + BLOCK, rows)
        out[..., begin:end, begin:] = left[..., begin:end, :] @ right[..., begin:, :].mT
        out[..., end:, begin:end] = out[..., begin:end, end:].mT
    return out


def precision_of(gradient: Tensor) -> torch.dtype:
    """What the iteration is done in: bfloat16, but the gradient's own on a CPU.

    A CPU without bfloat16 instructions does it 17 to 24 times slower than in float32 (256 x 256
    and 128 x 128 matrices, one core).
    """
    import torch

    return gradient.dtype if gradient.device.type == "cpu" else torch.bfloat16
