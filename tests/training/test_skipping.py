"""Steps that are skipped: which, that they change nothing, and that they are on record."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from windtunnel.models import Family
from windtunnel.scale import Run, Skip
from windtunnel.training.batches import ArrayPair, Batches
from windtunnel.training.loop import train
from windtunnel.training.population import Population
from windtunnel.training.result import RunResult
from windtunnel.training.skipping import KNOWN, Skipping


def test_nothing_is_skipped_without_a_policy() -> None:
    skipping = Skipping(None)
    assert not skipping.watches
    assert skipping.reason(0, math.nan, math.nan) is None
    assert not skipping.exhausted


def test_what_is_not_finite_is_skipped_up_to_the_limit() -> None:
    skipping = Skipping(Skip(limit=2))
    assert skipping.reason(0, 1.0, 1.0) is None
    assert skipping.reason(1, math.nan, 1.0) == "the loss is not finite"
    assert skipping.reason(2, 1.0, math.inf) == "the gradient is not finite"
    assert not skipping.exhausted
    assert skipping.reason(3, 1.0, 1e9) is None  # no spike is defined
    skipping.reason(4, math.inf, 1.0)
    assert skipping.exhausted
    assert [step for step, _ in skipping.skipped] == [1, 2, 4]


def test_a_spike_is_a_multiple_of_the_usual_norm() -> None:
    skipping = Skipping(Skip(limit=9, spike=4.0))
    assert skipping.reason(0, 1.0, 1e9) is None  # nothing is known yet
    for step in range(1, KNOWN):
        assert skipping.reason(step, 1.0, 2.0) is None
    assert skipping.reason(KNOWN, 1.0, 7.9) is None
    assert skipping.reason(KNOWN + 1, 1.0, 8.1) == (
        "the gradient norm, 8.1, is 4.0 times the usual one"
    )
    # What was skipped is not usual, and a copy goes on as this one does.
    again = Skipping(Skip(limit=9, spike=4.0), tuple(skipping.skipped), skipping.norms)
    assert len(skipping.norms) == KNOWN + 1
    assert again.reason(30, 1.0, 8.1) == skipping.reason(30, 1.0, 8.1) is not None


class Poisoned:
    """Batches of which some give a loss that is not finite, by a token no model has a row for."""

    def __init__(self, batches: Batches, steps: set[int]) -> None:
        self._batches, self._steps = batches, steps

    def training(self, k: int, data_seed: int, sequences: int, /) -> ArrayPair:
        inputs, targets = self._batches.training(k, data_seed, sequences)
        return (-inputs - 1, targets) if k in self._steps else (inputs, targets)

    def validation(self, count: int, /) -> Iterator[ArrayPair]:
        return self._batches.validation(count)


class Explosive:
    """The family, but inputs below zero give an infinite loss."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = batch
        if (inputs >= 0).all():
            return self._family.loss(model, batch)
        return self._family.loss(model, (-inputs - 1, targets)) * torch.inf


def carried_out(
    run: Run, family: Family, batches: Batches, folder: Path, **options: Any
) -> RunResult | None:
    poisoned = Poisoned(batches, {5, 11})
    return train(run, family=Explosive(family), batches=poisoned, folder=folder, **options)  # type: ignore[arg-type]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_goes_on_past_steps_it_skips(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    allowed = run.replace(skip=Skip(limit=2))
    result = carried_out(allowed, family, batches, tmp_path / "a")
    assert result is not None
    assert result.status == "finished"
    why = "the loss is not finite"
    assert result.skipped == ((5, why), (11, why))
    assert RunResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    logged = rows(tmp_path / "a")
    assert [row["step"] for row in logged if "skipped" in row] == [5, 11]
    assert logged[5]["loss"] is None
    assert len(logged) == run.steps

    # Stopped after the first of them and gone on: the same, bit for bit.
    done = [0]
    stop = {
        "on_progress": lambda step, steps, loss: done.__setitem__(0, step),
        "should_stop": lambda: done[0] == 8,
    }
    assert carried_out(allowed, family, batches, tmp_path / "b", **stop) is None
    again = carried_out(allowed, family, batches, tmp_path / "b")
    assert again is not None
    assert again.skipped == result.skipped
    assert again.loss == result.loss
    assert rows(tmp_path / "b") == logged


def test_what_is_usual_survives_a_stop(
    run: Run, family: Family, batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windtunnel.training.skipping.KNOWN", 4)
    allowed = run.replace(skip=Skip(limit=run.steps, spike=1.02))
    given: dict[str, Any] = {"family": family, "batches": batches}
    whole = train(allowed, **given, folder=tmp_path / "whole")
    assert whole is not None
    later = [step for step, _ in whole.skipped if step >= 10]
    assert 0 < len(later) < 15
    done = [0]
    train(
        allowed,
        **given,
        folder=tmp_path / "stopped",
        on_progress=lambda step, steps, loss: done.__setitem__(0, step),
        should_stop=lambda: done[0] == 10,
    )
    again = train(allowed, **given, folder=tmp_path / "stopped")
    assert again is not None
    assert again.skipped == whole.skipped
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")


def test_one_more_than_allowed_is_a_divergence(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    result = carried_out(run.replace(skip=Skip(limit=1)), family, batches, tmp_path / "a")
    assert result is not None
    assert (result.status, result.steps) == ("diverged", 12)
    without = carried_out(run, family, batches, tmp_path / "b")
    assert without is not None
    assert (without.status, without.steps, without.skipped) == ("diverged", 6, ())


def test_a_run_that_may_skip_is_another_run(run: Run, family: Family, batches: Any) -> None:
    allowed = run.replace(skip=Skip(limit=2, spike=5.0))
    assert allowed.key != run.key
    assert "skip" not in run.to_json()
    assert Run.from_json(json.loads(json.dumps(allowed.to_json()))) == allowed
    with pytest.raises(Exception, match="trained by itself"):
        Population([run, allowed], family=family, batches=batches)
