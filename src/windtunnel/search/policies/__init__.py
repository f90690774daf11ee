"""Search policies by name: a file each, and a line here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.search.policy import Policy
from windtunnel.search.space import Space
from windtunnel.search.trial import Trial

POLICIES: Mapping[str, str] = {
    "random": "random:RandomPolicy",
    "sobol": "sobol:SobolPolicy",
    "successive-halving": "successive_halving:SuccessiveHalvingPolicy",
    "hyperband": "hyperband:HyperbandPolicy",
    "asha": "asha:AshaPolicy",
    "iterative-deepening-hyperband": (
        "iterative_deepening_hyperband:IterativeDeepeningHyperbandPolicy"
    ),
    "dehb": "dehb:DehbPolicy",
    "pbt": "pbt:PopulationPolicy",
    "telescoping": "telescoping:TelescopingPolicy",
    "ladder": "ladder:LadderPolicy",
    "optuna": "optuna:OptunaPolicy",
    "trajectory-invariance": "trajectory_invariance:TrajectoryInvariancePolicy",
}


def make_policy(name: str, space: Space, **options: Any) -> Policy[Trial]:
    """A policy of this name for a space.

    Args:
        name: One of `POLICIES`.
        space: What is searched.
        options: The policy's own.

    Raises:
        WindtunnelError: There is no such policy, or it lacks an option or has no such one.
    """
    make = policy_class(name)
    try:
        inspect.signature(make).bind(space, **options)
    except TypeError as error:
        known = [key for key in inspect.signature(make).parameters if key != "space"]
        raise WindtunnelError(
            f"policy {name}: {error}; its options are {', '.join(known)}"
        ) from error
    return make(space, **options)


def policy_class(name: str) -> Callable[..., Policy[Trial]]:
    """What makes the policies of this name.

    Raises:
        WindtunnelError: There is no such policy.
    """
    if name not in POLICIES:
        raise WindtunnelError(f"policy: no '{name}'; choose one of {', '.join(POLICIES)}")
    module, _, kind = POLICIES[name].partition(":")
    made: Callable[..., Policy[Trial]] = getattr(import_module(f"{__name__}.{module}"), kind)
    return made
