"""What the schedule benchmarks train: a small GPT on the standard library's source, on one core.

Runs that are done are kept in a file, one a line, so a benchmark that is stopped goes on.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from windtunnel.data import TokenBatches, default_cache, open_corpus
from windtunnel.models import build_family
from windtunnel.models.family import Family
from windtunnel.parametrization.groups import clip_gradients_
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.spec import DataSpec
from windtunnel.training.assemble import assemble
from windtunnel.training.batches import to_device
from windtunnel.training.evaluation import validate

LENGTH = 64  # tokens in a sequence
SCALE = Scale(width=32, depth=2)
VALIDATION = 1024  # sequences
MODEL = "gpt of width 32 and depth 2 on this Python's library source, bytes, sequences of 64"
KEPT = Path.home() / ".cache" / "windtunnel" / "benchmarks" / "schedules.jsonl"


@cache
def text() -> TokenBatches:
    """The corpus, cut into batches."""
    spec = DataSpec(source="stdlib", sequence_length=LENGTH)
    return TokenBatches(open_corpus(spec, default_cache()), LENGTH)


@cache
def family() -> Family:
    """The model's family."""
    return build_family("gpt", {"head_size": 8}, vocabulary_size=256, sequence_length=LENGTH)


class Training:
    """One run in the making: it can be taken further, copied, and validated."""

    def __init__(self, lr: float, batch: int, seed: int) -> None:
        self.lr, self.batch, self.seed, self.step = lr, batch, seed, 0
        recipe = Recipe(lr=lr, batch_units=batch)
        data = DataIdentity("", LENGTH, VALIDATION)
        run = Run("gpt", (), "adamw", "mup", SCALE, SCALE, recipe, data, init_seed=seed)
        self.trainee = assemble(run, family(), torch.device("cpu"))

    def go(self, until: int, multiplier: Callable[[int], float]) -> None:
        """Train up to a step, each under the schedule's multiplier."""
        trainee = self.trainee
        for step in range(self.step, until):
            for group, rate in zip(trainee.optimizer.param_groups, trainee.peak_rates, strict=True):
                group["lr"] = rate * multiplier(step)
            arrays = text().training(step, self.seed, self.batch // LENGTH)
            family().loss(trainee.model, to_device(arrays, torch.device("cpu"))).backward()
            clip_gradients_(trainee.model, trainee.plan, 1.0)
            trainee.optimizer.step()
            trainee.optimizer.zero_grad(set_to_none=True)
        self.step = until

    def branch(self) -> Training:
        """Another run that goes on from here: weights, optimizer state and step."""
        other = Training(self.lr, self.batch, self.seed)
        other.trainee.model.load_state_dict(self.trainee.model.state_dict())
        other.trainee.optimizer.load_state_dict(copy.deepcopy(self.trainee.optimizer.state_dict()))
        other.step = self.step
        return other

    def loss(self) -> float:
        """Validation loss."""
        found, _ = validate(
            self.trainee.model,
            family=family(),
            batches=text(),
            sequences=VALIDATION,
            precision=contextlib.nullcontext(),
        )
        return found


class Kept:
    """Results by the words that say how they were made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.found: dict[str, Any] = dict(json.loads(line) for line in lines)

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """What was kept under a name, or what is made now."""
        if name not in self.found:
            self.found[name] = make()
            with self.path.open("a") as file:
                file.write(json.dumps([name, self.found[name]]) + "\n")
            print(f"{name}: {self.found[name]}", flush=True)
        return self.found[name]


def best_of(
    loss: Callable[[float], float], first: Iterable[float]
) -> tuple[float, dict[float, float]]:
    """The least of a geometric sweep, widened by factors of two while it lies at an edge."""
    losses = {value: loss(value) for value in first}
    while True:
        best = min(losses, key=lambda value: losses[value])
        if best == max(losses):
            losses[2 * best] = loss(2 * best)
        elif best == min(losses):
            losses[best / 2] = loss(best / 2)
        else:
            return best, losses


def mean_loss(losses: Sequence[float]) -> float:
    """The mean, and infinity where one diverged."""
    mean = statistics.fmean(losses)
    return mean if math.isfinite(mean) else math.inf


def difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the paired relative differences in percent, with Student's 90 % range."""
    percent = [100 * (a / b - 1) for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.fmean(percent)
    half = float(stats.t.ppf(0.95, len(percent) - 1)) * statistics.stdev(percent)
    half /= math.sqrt(len(percent))
    return mean, mean - half, mean + half


def seeds_that_would_tell(
    ours: Sequence[float], theirs: Sequence[float], margin: float
) -> int | None:
    """Seeds for a 90 % range that ends below the margin, if mean and deviation stay; or None."""
    percent = [100 * (a / b - 1) for a, b in zip(ours, theirs, strict=True)]
    room, deviation = margin - statistics.fmean(percent), statistics.stdev(percent)
    enough = (n for n in range(2, 1000) if stats.t.ppf(0.95, n - 1) * deviation < room * n**0.5)
    return next(enough, None) if room > 0 else None


def words(found: tuple[float, float, float]) -> str:
    """A difference as people read it."""
    return f"{found[0]:+.2f} % ({found[1]:+.2f} to {found[2]:+.2f})"
