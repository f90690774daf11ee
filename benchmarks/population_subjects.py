"""What `population.py` trains: models, runs and synthetic batches. It needs no corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.models import Family, build_family
from windtunnel.models.function import FunctionFamily
from windtunnel.scale import DataIdentity, Recipe, Run, Scale

VOCABULARY, FEATURES, CLASSES = 256, 16, 10


@dataclass(frozen=True)
class Case:
    """A model, a batch and a number of members."""

    model: str
    width: int
    members: int
    sequences: int
    length: int
    precision: str = "fp32"

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.model} d={self.width}, {self.sequences} x {self.length}, {self.precision}"

    @property
    def tokens(self) -> int:
        """Units in one step of one member."""
        return self.sequences * self.length


class TokenNoise:
    """Random tokens: their losses mean nothing, their time is that of any tokens."""

    def __init__(self, length: int) -> None:
        self.length = length

    def training(self, k: int, data_seed: int, sequences: int) -> tuple[Any, Any]:
        """Batch k."""
        tokens = np.random.default_rng([data_seed, k]).integers(
            0, VOCABULARY, size=(sequences, self.length + 1)
        )
        return np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:])

    def validation(self, count: int) -> Iterator[tuple[Any, Any]]:
        """One batch."""
        yield self.training(0, 1, count)


class VectorNoise:
    """Random vectors and classes."""

    def training(self, k: int, data_seed: int, sequences: int) -> tuple[Any, Any]:
        """Batch k."""
        random = np.random.default_rng([data_seed, k])
        vectors = random.normal(size=(sequences, FEATURES)).astype(np.float32)
        return vectors, random.integers(0, CLASSES, size=sequences)

    def validation(self, count: int) -> Iterator[tuple[Any, Any]]:
        """One batch."""
        yield self.training(0, 1, count)


def perceptron(width: int, depth: int) -> nn.Module:
    """Hidden layers of one width."""
    hidden = (layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU()))
    return nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), *hidden, nn.Linear(width, CLASSES))


def classify(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The perceptron's loss."""
    return F.cross_entropy(model(batch[0]), batch[1])


def subject(case: Case, steps: int = 10**6) -> tuple[list[Run], Family, Any]:
    """The members' runs (the first is the single one), their family and their batches."""
    family: Family
    if case.model == "mlp":
        family, batches = FunctionFamily(perceptron, classify), VectorNoise()
    else:
        family = build_family(
            "gpt", {"head_size": 16}, vocabulary_size=VOCABULARY, sequence_length=case.length
        )
        batches = TokenNoise(case.length)
    scale = Scale(width=case.width, depth=2, units=steps * case.tokens)
    run = Run(
        family=family.name,
        family_options=(),
        optimizer="adamw",
        rule="mup",
        base=scale,
        scale=scale,
        recipe=Recipe(lr=1e-3, batch_units=case.tokens),
        data=DataIdentity("noise", case.length, 32),
        precision=case.precision,
    )
    runs = [
        run.replace(recipe=run.recipe.replace(lr=1e-3 * (1 + index / case.members)))
        for index in range(case.members)
    ]
    return runs, family, batches
