"""Finished runs whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from windtunnel.comparing.finished import FinishedRun, MethodRuns
from windtunnel.laws.table import Metric

LENGTHS = (1e6, 2e6, 4e6)


def law(width: float, units: float) -> float:
    """A loss without noise."""
    return 1.5 + 20 / width + 60 / units**0.3


def made_up(
    speed_ups: Mapping[str, float],
    *,
    widths: Sequence[float] = (64.0,),
    lengths: Sequence[float] = LENGTHS,
    seeds: int = 6,
    noise: float = 0.0,
    growth: float = 0.0,
    slowness: Mapping[str, float] | None = None,
    random: int = 0,
) -> MethodRuns:
    """Runs of methods, each so many times faster than the law.

    Args:
        speed_ups: By method, in units of training at width 64.
        widths: Scales.
        lengths: Of every method.
        seeds: Of every one.
        noise: Standard deviation of log loss.
        growth: Power of the width by which every speed-up but 1 grows.
        slowness: Seconds a FLOP by method, relative.
        random: Seed of the noise.
    """
    draw = np.random.default_rng(random)
    runs = []
    for method, factor in speed_ups.items():
        for width in widths:
            faster = factor if factor == 1 else factor * (width / 64) ** growth
            for units in lengths:
                for seed in range(seeds):
                    loss = law(width, units * faster) * math.exp(noise * draw.normal())
                    flops = 6 * 12 * width**2 * units
                    runs.append(
                        FinishedRun(
                            line=len(runs) + 2,
                            method=method,
                            scale={"width": width},
                            units=units,
                            seed=str(seed),
                            loss=loss,
                            flops=flops,
                            seconds=flops * 1e-9 * (slowness or {}).get(method, 1.0),
                            params=12 * width**2,
                            state_bytes=8 * 12 * width**2 / (2 if method == "muon" else 1),
                        )
                    )
    return MethodRuns("made up", tuple(runs), "tokens", Metric("loss", "loss", "nats"))


@pytest.fixture(name="made_up")
def _made_up() -> Callable[..., MethodRuns]:
    """The function above."""
    return made_up


@pytest.fixture(name="true_loss")
def _true_loss() -> Callable[[float, float], float]:
    """The law behind it."""
    return law
