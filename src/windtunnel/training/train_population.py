"""A population from where it is to every run's result, in every run's own folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from windtunnel.scale import Run
from windtunnel.training.checkpoint import checkpoint_path, remove_checkpoint
from windtunnel.training.population import Population
from windtunnel.training.promotion import write_log
from windtunnel.training.result import RunResult, write_result


def train_population(
    population: Population,
    folder_of: Callable[[Run], Path],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    holds: Callable[[Run], bool] = lambda run: True,
    on_progress: Callable[[int, int, list[float]], object] = lambda step, steps, losses: None,
    checkpoint_seconds: float = 60.0,
) -> list[RunResult] | None:
    """Train all members to their ends, and leave in their folders what `train` would have left.

    Whatever stops it, each run goes on from its last checkpoint by `train`, one at a time: a
    checkpoint is a run's, and nothing in it tells of the population.

    Args:
        population: At any step; `choose` gives it some steps in.
        folder_of: Each run's own folder.
        should_stop: As for `train`: when it turns true, checkpoints are written and training
            ends; when it raises, nothing more is written.
        holds: Whether a run is still to be trained here, asked after `should_stop`; one that is
            not leaves the population, the others go on, and nothing more is written for it.
        on_progress: Told of steps done, steps in all and the members' last losses.
        checkpoint_seconds: Time between checkpoints of all members.

    Returns:
        Results of the runs that finished or diverged; None if asked to stop.

    Raises:
        WindtunnelError: A folder can't be written.
    """
    saved_at = time.monotonic()
    stop = False

    def pause() -> bool:
        nonlocal stop
        stop = should_stop()
        lost = [member.run for member in population.members if not holds(member.run)]
        if lost:
            population.stop(lost)
        return stop or time.monotonic() - saved_at >= checkpoint_seconds

    while not population.train(should_stop=pause, on_progress=on_progress):
        for member in population.members:
            if not (member.copied or member.diverged):
                population.promote(member.run, folder_of(member.run))
        if stop:
            return None
        saved_at = time.monotonic()
    every = population.results()
    should_stop()  # raises, so that nothing is written, if the claim was lost meanwhile
    members = {member.run.key: member for member in (*population.members, *population.left)}
    results = [result for result in every if holds(members[result.key].run)]
    for result in results:
        member = members[result.key]
        folder = folder_of(member.run)
        write_log(folder, member.run, member.rows)
        write_result(folder, result)
        remove_checkpoint(checkpoint_path(folder))
    return results
