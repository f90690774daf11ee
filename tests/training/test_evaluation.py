from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from windtunnel.training.evaluation import validate


class Given:
    """Batches and a family whose sequence losses are the numbers given."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = np.array(losses)
        self.asked = 0

    def validation(self, count: int, /) -> Iterator[tuple[Any, Any]]:
        self.asked = count
        for part in np.split(self.losses, range(3, len(self.losses), 3)):
            yield part, part

    def sequence_losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        assert not model.training
        assert not torch.is_grad_enabled()
        return batch[0]


def validated(losses: list[float]) -> tuple[float, float | None]:
    given: Any = Given(losses)
    model = nn.Linear(1, 1)
    outcome = validate(
        model, family=given, batches=given, sequences=8, precision=contextlib.nullcontext()
    )
    assert given.asked == 8
    assert model.training
    return outcome


def test_mean_and_standard_error_over_sequences_of_uneven_batches() -> None:
    losses = [1.0, 2.0, 4.0, 3.0, 2.5, 2.0, 7.0, 1.5]
    mean, error = validated(losses)
    assert mean == pytest.approx(sum(losses) / 8)
    assert error == pytest.approx(np.std(losses, ddof=1) / 8**0.5)


def test_one_sequence_has_no_standard_error() -> None:
    assert validated([2.5]) == (2.5, None)
