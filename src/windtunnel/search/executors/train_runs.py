"""Trains runs of a study with our own loop: one, or several at once where that is faster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Run
from windtunnel.search.executors.pools import Pools
from windtunnel.search.executors.train_run import subject, train_run
from windtunnel.spec import StudySpec
from windtunnel.training.choose import choose
from windtunnel.training.members import refuse_strangers
from windtunnel.training.population import Population
from windtunnel.training.train_population import train_population

__all__ = ["can_go_together", "train_many", "train_run"]

_log = logging.getLogger("windtunnel.worker")


def can_go_together(runs: Sequence[Run], spec: StudySpec, folder_of: Callable[[Run], Path]) -> bool:
    """Whether runs can be trained at once: all begin anew, and share what members have to.

    Runs of the target aren't, since their weights are kept.

    Args:
        runs: At least one.
        spec: The study.
        folder_of: Each run's own folder.
    """
    if any(run.scale == spec.target.scale() for run in runs):
        return False
    try:
        refuse_strangers(runs)
    except WindtunnelError:
        return False
    begun = ("result.json", "checkpoint.safetensors")
    return not any((folder_of(run) / name).exists() for run in runs for name in begun)


def train_many(
    runs: Sequence[Run],
    spec: StudySpec,
    device: str,
    pools: Pools,
    *,
    folder_of: Callable[[Run], Path],
    should_stop: Callable[[], bool],
    holds: Callable[[Run], bool],
    on_progress: Callable[[int, int, Mapping[str, float]], None],
) -> list[dict[str, Any]] | None:
    """Train runs at once in their folders, if a few timed steps say that this is faster.

    A population is held against the same worker's training its runs one at a time. Workers beside
    it need not be counted: it holds no more than its share of the runs, so the others have as many
    each to train meanwhile.

    Args:
        runs: Those of `can_go_together`.
        spec: The study, for the place of its data.
        device: A torch device.
        pools: Asked what was timed before, and told what is timed now.
        folder_of: Each run's own folder.
        should_stop: Asked at every step.
        holds: Whether a run is still this worker's; asked after `should_stop`.
        on_progress: Told steps done, steps in all and the last losses by the runs' keys.

    Returns:
        Results as JSON values of the runs that are still held; None when it was stopped, or when
        one at a time is the better way. What isn't done can be gone on with alone.

    Raises:
        WindtunnelError: The data isn't what the study was begun with; or the runs, which are of a
            kind that was chosen before, can't be trained at once.
    """
    population = _population(runs, spec, device, pools)
    if population is None:
        return None

    def report(step: int, steps: int, losses: Sequence[float]) -> None:
        members = zip(population.members, losses, strict=True)
        on_progress(step, steps, {member.run.key: loss for member, loss in members})

    results = train_population(
        population, folder_of, should_stop=should_stop, holds=holds, on_progress=report
    )
    return None if results is None else [result.to_json() for result in results]


def _population(
    runs: Sequence[Run], spec: StudySpec, device: str, pools: Pools
) -> Population | None:
    """The runs as one, if that is the faster way."""
    first, count = runs[0], len(runs)
    family, batches = subject(first, spec)
    if pools.known_to_pay(first, count):
        try:
            return Population(runs, family=family, batches=batches, device=device, capture=True)
        except torch.cuda.OutOfMemoryError:
            pools.too_many(first, count)
            return None
    choice = choose(runs, family=family, batches=batches, device=device)
    _log.info("%s: %s", first.scale, choice.reason)
    if choice.population is not None:
        pools.pays(first, count)
    elif choice.out_of_memory:
        pools.too_many(first, count)
    else:
        pools.does_not_pay(first, count)
    return choice.population
