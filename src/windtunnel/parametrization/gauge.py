"""How hyperparameters change when a forward multiplier moves into the weights."""

from __future__ import annotations

from windtunnel.parametrization.rule import Scaling
from windtunnel.scale import NONE, Geometry, Powers


def move_into_weights(scaling: Scaling, multiplier: Powers, geometry: Geometry) -> Scaling:
    """Train the same function without the multiplier: `y = M * (W x)` becomes `y = (M * W) x`.

    The weights are M times larger and their gradients M times smaller. What moved them by u must
    now move them by M u:

    - an update of fixed size (Adam, Muon, Shampoo, SOAP) needs M times the rate;
    - the gradient itself (SGD), M times smaller, needs M^2 times the rate;
    - an update relative to the weights (Adafactor) needs the same rate.

    Coupled decay, which the rate multiplies, is divided by what the rate is multiplied by. An
    epsilon beside the gradient is divided by M (beside its square, for Kronecker factors, by M^2);
    the least size that a relative update takes weights to have is multiplied by M, as weights are.
    Yang et al. 2022 (arXiv 2203.03466), appendix J.2.1, give the first two; the others follow.

    Args:
        scaling: What the rule says, in its own gauge.
        multiplier: M, in addition to the scaling's own.
        geometry: What the optimizer's update does to sizes.

    Returns:
        An equivalent scaling whose multiplier is one.
    """
    moved = scaling.multiplier * multiplier
    rate = {Geometry.SGD: moved * moved, Geometry.RELATIVE: NONE}.get(geometry, moved)
    beside = {
        Geometry.SIGN: moved,
        Geometry.KRONECKER: moved * moved,
        Geometry.RELATIVE: NONE / moved,
    }.get(geometry, NONE)
    return Scaling(
        init=scaling.init * moved,
        multiplier=NONE,
        lr=scaling.lr * rate,
        weight_decay=scaling.weight_decay / rate,
        eps=scaling.eps / beside,
    )
