"""An optimizer of one's own, for `windtunnel compare compare.yaml` (docs/compare.md)."""

from windtunnel.optimizers import OptimizerMethod, UpdateRule
from windtunnel.scale import Geometry


def begin(parameter, settings, at):
    """One moving mean, of zeros."""
    return {"mean": parameter * 0}


def update(parameter, gradient, state, settings, at):
    """A step of one size along the sign of the mean."""
    mean = settings["beta"] * state["mean"] + (1 - settings["beta"]) * gradient
    step = settings["lr"] * (mean.sign() + settings["weight_decay"] * parameter)
    return parameter - step, {"mean": mean}


METHOD = OptimizerMethod("sign-momentum", Geometry.SIGN, UpdateRule(update, begin, {"beta": 0.95}))
