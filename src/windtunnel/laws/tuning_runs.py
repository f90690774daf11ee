"""Tuning runs, grouped by size, as the surface's fit takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.hyperparameters import design_of
from windtunnel.laws.solver import Array

# A loss a tenth above its group's best is a wall: that recipe failed, by how much says nothing.
WALL = 0.1
_LEAST_RUNS = 6  # besides one a group: rate, batch and the shape of a bowl
_NEAR = 0.002  # of log loss: how sharply runs near their group's best set the centre of the logs


@dataclass(frozen=True, slots=True)
class GroupedRuns:
    """Runs that trained, in logs.

    Attributes:
        names: Of the inputs.
        middles: (i,) their middles.
        design: (groups, 1 + i) ones and centred inputs.
        groups: The inputs themselves, (groups,) each.
        group: (n,) index of each run's group.
        centre: (2,) of rate and batch, near the groups' best runs.
        tuned: (n, 2) rate and batch less the centre.
        loss: (n,) log losses.
        best: (groups,) least log loss.
        walls: Runs left out: diverged, or above the wall.
    """

    names: tuple[str, ...]
    middles: Array
    design: Array
    groups: Mapping[str, Array]
    group: np.ndarray
    centre: Array
    tuned: Array
    loss: Array
    best: Array
    walls: int


def grouped_runs(inputs: Mapping[str, Array], lr: Array, batch: Array, loss: Array) -> GroupedRuns:
    """Check the runs, group them by equal inputs and leave the walls out.

    Args:
        inputs: (n,) each, positive.
        lr: (n,) learning rates.
        batch: (n,) batch sizes.
        loss: (n,) final losses; not finite where a run diverged.

    Raises:
        WindtunnelError: See `windtunnel.laws.tuning.fit_tuning_law`.
    """
    for name, values in (*inputs.items(), ("lr", lr), ("batch", batch)):
        if not (np.isfinite(values).all() and (np.asarray(values) > 0).all()):
            raise WindtunnelError(f"tuning law: a value of {name} is not a positive number")
    if (loss[np.isfinite(loss)] <= 0).any():
        raise WindtunnelError("tuning law: a loss is not positive; give losses in nats or bits")
    for name, values in (("learning rate", lr), ("batch size", batch)):
        if np.unique(values).size < 2:
            raise WindtunnelError(
                f"tuning law: all runs have one {name}; vary both, or give the optima you know to "
                "fit_optima_law"
            )
    sizes, group = np.unique(np.column_stack(list(inputs.values())), axis=0, return_inverse=True)
    group = group.ravel()
    logs = np.log(np.where(np.isfinite(loss), loss, np.inf))
    best = np.array([logs[group == place].min() for place in range(len(sizes))])
    if not np.isfinite(best).all():
        failed = sizes[np.isfinite(best).argmin()]
        at = ", ".join(f"{name} {value:g}" for name, value in zip(inputs, failed, strict=True))
        raise WindtunnelError(
            f"tuning law: all runs diverged at {at}; add runs at lower rates or leave that size out"
        )
    kept = logs - best[group] < WALL
    if kept.sum() < len(sizes) + _LEAST_RUNS:
        raise WindtunnelError(
            f"tuning law: {kept.sum()} runs trained in {len(sizes)} groups and at least "
            f"{len(sizes) + _LEAST_RUNS} are needed; ten a group make a good law"
        )
    groups = {name: sizes[:, place] for place, name in enumerate(inputs)}
    middles = np.log(sizes).mean(axis=0)
    tuned = np.log(np.column_stack([lr, batch]))[kept]
    near = 1 / (_NEAR + logs[kept] - best[group[kept]])
    centre = near @ tuned / near.sum()
    return GroupedRuns(
        names=tuple(inputs),
        middles=middles,
        design=design_of(tuple(inputs), middles, groups),
        groups=groups,
        group=group[kept],
        centre=centre,
        tuned=tuned - centre,
        loss=logs[kept],
        best=best,
        walls=int((~kept).sum()),
    )
