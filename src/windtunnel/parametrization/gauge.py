"""How hyperparameters change when a forward multiplier moves into the weights."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.rule import Scaling
from windtunnel.scale import NONE, Geometry, Powers


def move_into_weights(scaling: Scaling, multiplier: Powers, geometry: Geometry) -> Scaling:
    """Train the same function without the multiplier: `y = M * (W x)` becomes `y = (M * W) x`.

    The weights are M times larger and their gradients M times smaller. An update of fixed size
    (Adam) must therefore grow by M; epsilon stands beside the gradient, so it is divided by M; and
    the coupled decay, which the rate multiplies, is divided by M too. Yang et al. 2022 (arXiv
    2203.03466), appendix J.2.1, give the first two; the others follow from Adam's update.

    Args:
        scaling: What the rule says, in its own gauge.
        multiplier: M, in addition to the scaling's own.
        geometry: What the optimizer's update does to sizes.

    Returns:
        An equivalent scaling whose multiplier is one.

    Raises:
        WindtunnelError: No law is known for the geometry.
    """
    if geometry is not Geometry.SIGN:
        raise WindtunnelError(
            f"optimizer: no transformation law for {geometry} optimizers yet; use adamw"
        )
    moved = scaling.multiplier * multiplier
    return Scaling(
        init=scaling.init * moved,
        multiplier=NONE,
        lr=scaling.lr * moved,
        weight_decay=scaling.weight_decay / moved,
        eps=scaling.eps / moved,
    )
