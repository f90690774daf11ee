"""The ways of taking steps that `population.py` measures."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from population_subjects import Case, subject
from torch import Tensor

from windtunnel.models.gpt_stacked import StackedGPT
from windtunnel.parametrization.groups import clip_gradients_
from windtunnel.training import stacked_step
from windtunnel.training.assemble import assemble
from windtunnel.training.batches import to_device
from windtunnel.training.loop import train
from windtunnel.training.population import Population

Stepper = Callable[[int], object]  # takes that many steps; returns once the device has


class EnoughError(Exception):
    """Ends the loop's training once it is measured."""


def wait(device: torch.device) -> None:
    """Until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def loop_rate(case: Case, device: torch.device, seconds: float) -> float:
    """Steps a second of `train`, from its own progress reports."""
    runs, family, batches = subject(case)
    reports: list[tuple[float, int]] = []

    def progress(step: int, steps: int, loss: float) -> None:
        reports.append((time.perf_counter(), step))
        if reports[-1][0] - reports[0][0] > seconds and len(reports) > 2:
            raise EnoughError

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(EnoughError):
        train(
            runs[0],
            family=family,
            batches=batches,
            folder=Path(folder),
            device=str(device),
            on_progress=progress,
            checkpoint_seconds=1e9,
        )
    (began, first), (ended, last) = reports[1], reports[-1]
    return (last - first) / (ended - began)


def captured_single(case: Case, device: torch.device) -> Stepper:
    """One run's step as a CUDA graph: torch's own fused AdamW, clipping and all."""
    runs, family, batches = subject(case)
    run = runs[0]
    trainee = assemble(run, family, device)
    groups = [
        {**g, "lr": torch.tensor(g["lr"], device=device)} for g in trainee.optimizer.param_groups
    ]
    for group in groups:
        group.pop("fused"), group.pop("capturable")
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True, capturable=True)
    peaks = [group["lr"].clone() for group in optimizer.param_groups]
    multiplier = torch.ones((), device=device)
    static = tuple(t.clone() for t in to_device(batches.training(0, 0, case.sequences), device))

    def step() -> Tensor:
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"].copy_(peak * multiplier)
        half = torch.autocast(device.type, torch.bfloat16, enabled=case.precision == "bf16")
        with half:
            loss = family.loss(trainee.model, static)
        loss.backward()
        clip_gradients_(trainee.model, trainee.plan, run.recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    beside = torch.cuda.Stream(device)
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    # A replay writes where all of these were; let go, their memory would be another's.
    kept = (trainee, optimizer, peaks, multiplier)

    def steps(count: int) -> None:
        assert kept, "the graph's tensors live as long as its steps"
        for k in range(count):
            arrays = to_device(batches.training(k, 0, case.sequences), device)
            for held, value in zip(static, arrays, strict=True):
                held.copy_(value, non_blocking=True)
            graph.replay()
        wait(device)

    return steps


def population(case: Case, device: torch.device, capture: bool) -> Stepper:
    """All members at once."""
    runs, family, batches = subject(case)
    members = Population(runs, family=family, batches=batches, device=str(device), capture=capture)

    def steps(count: int) -> None:
        members.train(until=members.step + count)

    return steps


def enough(steps: Stepper, seconds: float) -> int:
    """How many steps take about that time; the first ones warm up."""
    steps(2)
    count = 2
    while True:
        spent = seconds_for(steps, count)
        if spent > seconds / 4:
            return max(1, round(count * seconds / spent))
        count *= 4


def seconds_for(steps: Stepper, count: int) -> float:
    """Wall-clock time of that many steps."""
    began = time.perf_counter()
    steps(count)
    return time.perf_counter() - began


def variants(
    case: Case, device: torch.device, *, update: bool, forward: bool
) -> dict[str, Callable[[], Stepper]]:
    """What is measured beside our loop, each built when its turn comes.

    Args:
        case: What is trained.
        device: Where.
        update: Whether a population with a compiled update is among them.
        forward: Whether one with all of its step compiled is.
    """
    if device.type == "cpu":
        return {"population": lambda: population(case, device, capture=False)}
    found: dict[str, Callable[[], Stepper]] = {
        "graph": lambda: captured_single(case, device),
        "population eager": lambda: population(case, device, capture=False),
        "population": lambda: population(case, device, capture=True),
    }
    if update:
        found["population, compiled update"] = lambda: compiled(case, device, forward=False)
    if forward:
        found["population, compiled"] = lambda: compiled(case, device, forward=True)
    return found


def compiled(case: Case, device: torch.device, *, forward: bool) -> Stepper:
    """A population whose update, and perhaps its forward and backward pass, Inductor fused."""
    update, losses = stacked_step.update_, StackedGPT.losses
    stacked_step.update_ = torch.compile(update, dynamic=False)
    if forward:
        StackedGPT.losses = torch.compile(losses, dynamic=False)  # type: ignore[method-assign]
    try:
        steps = population(case, device, capture=True)
        steps(2)  # compiled and captured here; a graph needs no Python any more
        return steps
    finally:
        stacked_step.update_ = update
        StackedGPT.losses = losses  # type: ignore[method-assign]
