"""Whether a population pays, by timing a few steps of each way to train the runs."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.scale import Run
from windtunnel.training.batches import Batches
from windtunnel.training.device import cpu_threads
from windtunnel.training.loop import train
from windtunnel.training.population import Population

MARGIN = 1.02  # a population has to win by more than noise
WARM_UP = 3
TIMED_SECONDS = 0.1  # of each way in a round
# Both ways take turns, so that what else the machine does slows both. Where the gain is within
# CLOSE of what decides, more rounds are timed: benchmarks/results/population_choice.md.
ROUNDS, ROUNDS_IF_CLOSE, CLOSE = 3, 15, 1.35
# What a population saves is the time to launch a step's operations: a few milliseconds on any
# device. Less than MARGIN of a step that takes longer than this.
LONG_STEP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Choice:
    """How the runs are best trained here.

    Attributes:
        population: The runs as one, if that is the faster way; it has taken its first steps.
        reason: Why, in words.
        single_seconds: Of a step of one run in our loop; 0 if it has too few steps to tell.
        population_seconds: Of a step of all runs as a population; None if there can't be one.
        out_of_memory: Whether there can't be one because the device is too small for it.
    """

    population: Population | None
    reason: str
    single_seconds: float
    population_seconds: float | None
    out_of_memory: bool = False


def choose(
    runs: Sequence[Run],
    *,
    family: Family,
    batches: Batches,
    device: str = "cpu",
    processes: int = 1,
) -> Choice:
    """Time a few steps of one run and of all at once, one thread each, and compare.

    Args:
        runs: What is to be trained.
        family: Their family.
        batches: Their data.
        device: `cpu`, `cuda` or `cuda:1`.
        processes: How many could train the runs beside each other, one at a time each, in place
            of this one; their speed is estimated as that many times one's.
    """
    with cpu_threads(1):
        single = _single_seconds(runs[0], family, batches, device)
        if single == 0.0:
            return Choice(None, "a run has hardly any steps", single, None)
        if single > LONG_STEP_SECONDS:
            reason = f"a step takes {single:.2f} s: launching it is no part of that"
            return Choice(None, reason, single, None)
        try:
            population = Population(
                runs, family=family, batches=batches, device=device, capture=True
            )
            single, stacked = _timed_in_turns(population, runs, family, batches, processes)
        except (WindtunnelError, torch.cuda.OutOfMemoryError) as error:
            no_room = isinstance(error, torch.cuda.OutOfMemoryError)
            return Choice(None, str(error), single, None, no_room)
    gain = speed_up(single, stacked, members=len(runs), processes=processes)
    beside = "one at a time" if processes == 1 else f"{processes} processes, one at a time each"
    reason = f"{len(runs)} runs at once are {gain:.2f} times as fast as {beside}"
    return Choice(population if gain > MARGIN else None, reason, single, stacked)


def speed_up(single: float, stacked: float, *, members: int, processes: int) -> float:
    """A population's steps of members a second, over those of processes that take single ones.

    Args:
        single: Seconds of one run's step.
        stacked: Seconds of a step of all members.
        members: How many there are.
        processes: How many could be busy; no more than there are members.
    """
    return members * single / (min(processes, members) * stacked)


def _timed_in_turns(
    population: Population,
    runs: Sequence[Run],
    family: Family,
    batches: Batches,
    processes: int,
) -> tuple[float, float]:
    """Seconds of a step of one run and of all: medians of rounds."""
    device = str(population.device)
    population.train(until=WARM_UP)  # the first steps compile and capture
    single: list[float] = []
    stacked: list[float] = []
    while len(stacked) < ROUNDS_IF_CLOSE:
        single.append(_single_seconds(runs[0], family, batches, device))
        stacked.append(_population_seconds(population))
        found = statistics.median(single), statistics.median(stacked)
        gain = speed_up(*found, members=len(runs), processes=processes)
        close = MARGIN / CLOSE < gain < MARGIN * CLOSE
        if (len(stacked) >= ROUNDS and not close) or population.step == population.steps:
            break
    return found


def _single_seconds(run: Run, family: Family, batches: Batches, device: str) -> float:
    """Of a step of the loop itself, in a folder that is thrown away."""
    reports: list[tuple[float, int]] = []

    def enough() -> bool:
        warm = [report for report in reports if report[1] > WARM_UP]
        return len(warm) > 1 and (
            warm[-1][0] - warm[0][0] >= TIMED_SECONDS or warm[-1][1] - warm[0][1] >= 100
        )

    with tempfile.TemporaryDirectory() as folder:
        train(
            run,
            family=family,
            batches=batches,
            folder=Path(folder),
            device=device,
            should_stop=enough,
            on_progress=lambda step, steps, loss: reports.append((time.perf_counter(), step)),
            checkpoint_seconds=float("inf"),
        )
    warm = [report for report in reports if report[1] > WARM_UP]
    times = [(ended - began) / (last - first) for (began, first), (ended, last) in pairwise(warm)]
    return statistics.median(times) if times else 0.0


def _population_seconds(population: Population) -> float:
    """Of a step of all members."""
    times: list[float] = []
    # Reading the losses waits for a GPU, as training does now and then only.
    stride = 1 if population.device.type == "cpu" else 16
    while sum(times) * stride < TIMED_SECONDS:
        before, began = population.step, time.perf_counter()
        population.train(until=before + stride)
        if population.step == before:
            break
        times.append((time.perf_counter() - began) / (population.step - before))
    return statistics.median(times) if times else math.inf
