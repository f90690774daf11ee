"""Assertions for a user's own test suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from windtunnel.models.family import Declarations
    from windtunnel.parametrization.check import CoordinateCheck
    from windtunnel.parametrization.plan import Optimizer


def assert_check(
    build: Callable[[int, int], nn.Module],
    step: Callable[[nn.Module, Any], Tensor],
    *,
    batch: Callable[[int], Any],
    lr: float,
    widths: Sequence[int] = (32, 64, 128),
    depth: int = 2,
    depths: Sequence[int] = (),
    rule: str = "mup",
    optimizer: Optimizer = "adamw",
    declarations: Declarations | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 5,
) -> CoordinateCheck:
    """Fail unless the model's activations and updates keep their size as it grows.

    Args:
        build: `build(width, depth) -> nn.Module`.
        step: `step(model, batch) -> loss`, a scalar tensor.
        batch: `batch(seed)`, the one batch that a run with that seed trains on.
        lr: Learning rate at the smallest width.
        widths: Widths to compare; the smallest is base.
        depth: Depth of all of them.
        depths: Depths to compare, at the smallest width; begin at 4.
        rule: The parametrization rule.
        optimizer: Name in `windtunnel.optimizers`, or a `torch.optim.Optimizer` class.
        declarations: What shapes can't tell about the model.
        seeds: Seeds of initialisation and batch.
        steps: Optimizer steps.

    Returns:
        The check, for further assertions.

    Raises:
        AssertionError: The verdict is not `pass`; the message names the module, its slope and
            range.
        WindtunnelError: A parameter can't be placed.
    """
    from windtunnel.models.family import Declarations
    from windtunnel.models.function import FunctionFamily
    from windtunnel.parametrization.check import check
    from windtunnel.scale import Scale

    result = check(
        FunctionFamily(build, step, declarations or Declarations()),
        base=Scale(width=min(widths), depth=depth),
        widths=widths,
        depths=depths,
        batch=batch,
        lr=lr,
        rule=rule,
        optimizer=optimizer,
        seeds=seeds,
        steps=steps,
    )
    if result.verdict != "pass":
        verdicts = "\n".join(f"  {a.axis}: {a.verdict}: {a.reason}" for a in result.axes)
        raise AssertionError(f"coordinate check under rule '{rule}': {result.verdict}\n{verdicts}")
    return result
