"""Which runs are due: every sweep's rates, widened where the best lies at an edge."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from settings import MOST_ADDED, RATES, SEEDS, Arm, Setting

from windtunnel.data.cache import default_cache
from windtunnel.data.corpus import open_corpus
from windtunnel.models import Family, build_family
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale
from windtunnel.spec import DataSpec

VOCABULARY = 256  # bytes


@dataclass(frozen=True)
class Cell:
    """One sweep: an arm at a scale.

    Attributes:
        arm: Rule and optimizer.
        scale: What is trained.
        treatment: Hash of the recipe, the data and all that the plan sets there. Sweeps of one
            treatment are one and the same, whatever the rule is called, and are run once.
    """

    arm: Arm
    scale: Scale
    treatment: str


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    cell: Cell
    log2_lr: int
    seed: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies its record."""
        return self.cell.treatment, self.log2_lr, self.seed


Losses = Mapping[tuple[str, int, int], float]  # by job; infinite where the run diverged


def family(setting: Setting, arm: Arm) -> Family:
    """The built-in GPT, as this arm wants it."""
    return build_family(
        "gpt",
        {"head_size": setting.head_size, **arm.options},
        vocabulary_size=VOCABULARY,
        sequence_length=setting.sequence_length,
    )


def cells(setting: Setting, arms: Iterable[Arm]) -> list[Cell]:
    """Every sweep, arm by arm, cheap ones first."""
    return [
        Cell(arm, scale, _treatment(setting, arm, scale))
        for arm in arms
        for scale in sorted(setting.scales(), key=lambda scale: setting.seconds(arm, scale))
    ]


def rates(setting: Setting, cell: Cell, losses: Losses) -> list[int]:
    """Log2 of the rates of a sweep: seven, and more at the side where the best one is the last."""
    centre = setting.centre(cell.arm, cell.scale)
    low, high = centre - RATES // 2, centre + RATES // 2
    for _ in range(2 * MOST_ADDED):
        means = {rate: mean_loss(cell, rate, losses) for rate in range(low, high + 1)}
        if any(mean is None for mean in means.values()):
            break
        best = min(means, key=lambda rate: means[rate] or math.inf)
        if best == low and low > centre - RATES // 2 - MOST_ADDED:
            low -= 1
        elif best == high and high < centre + RATES // 2 + MOST_ADDED:
            high += 1
        else:
            break
    return list(range(low, high + 1))


def mean_loss(cell: Cell, log2_lr: int, losses: Losses) -> float | None:
    """Mean over seeds, infinite if one diverged; None while one is missing."""
    found = [losses.get((cell.treatment, log2_lr, seed)) for seed in SEEDS]
    return None if None in found else statistics.fmean(loss for loss in found if loss is not None)


def due(setting: Setting, every: Iterable[Cell], losses: Losses) -> Iterator[Job]:
    """The runs still to be made, in order; what a sweep needs may grow when its last is known."""
    seen = set()
    for cell in every:
        if cell.treatment in seen:
            continue
        seen.add(cell.treatment)
        for log2_lr in rates(setting, cell, losses):
            for seed in SEEDS:
                if (cell.treatment, log2_lr, seed) not in losses:
                    yield Job(cell, log2_lr, seed)


@functools.cache
def corpus(setting: Setting) -> tuple[str, int, int]:
    """What is read: the text's hash, the length of a sequence, and how many are held out."""
    spec = DataSpec(source="stdlib", sequence_length=setting.sequence_length)
    content = open_corpus(spec, default_cache()).content_hash
    return content, setting.sequence_length, setting.validation_sequences


def _treatment(setting: Setting, arm: Arm, scale: Scale) -> str:
    resolved = plan(family(setting, arm), setting.base, scale, arm.rule, arm.optimizer)
    factors = [
        [p.name, str(p.geometry)]
        + [f"{x:.9g}" for x in (p.init, p.lr, p.weight_decay, p.eps, p.gauge)]
        for p in resolved
    ]
    recipe = dataclasses.asdict(setting.recipe(arm, 0))
    for name in ("schedule_settings", "optimizer_settings"):
        if not recipe[name]:
            del recipe[name]  # sweeps made before there were any stay known
    shared = recipe, dataclasses.asdict(scale), corpus(setting)
    whole = [arm.optimizer, arm.options, shared, factors]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]
