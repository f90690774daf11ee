"""AutoLRS: its constants, its decisions from a record alone, and a run that is killed anywhere."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.autolrs import AutoLRS, Try, next_move, run_autolrs
from windtunnel.schedules.online import Change, Entry, Tried, follow, read_record


def plan(policy: AutoLRS) -> tuple[list[Try], list[Change]]:
    """Every try and every change, where each try's losses fall towards 2."""
    record: list[Entry] = []
    tries, changes = [], []
    while (move := next_move(record, policy)) is not None:
        if isinstance(move, Try):
            tries.append(move)
            count = move.steps // (move.validate_every or 1)
            losses = tuple(2 + math.exp(-move.multiplier * t / 20) for t in range(count))
            record.append(Tried(move.step, move.multiplier, losses))
        else:
            changes.append(move)
            record.append(move)
    return tries, changes


def test_stages_and_tries_are_those_of_the_published_code() -> None:
    """Stages of 1000, 2000, 4000, 8000, 8000; ten tries of a tenth; then a validation every 50."""
    tries, changes = plan(AutoLRS(steps=23_000, lowest=1e-3))
    assert [change.step for change in changes] == [0, 1000, 3000, 7000, 15_000]
    by_stage = [tries[k : k + 10] for k in range(0, len(tries), 10)]
    assert len(by_stage) == 5
    for stage, length in zip(by_stage, (100, 200, 400, 800, 800), strict=True):
        assert {move.steps for move in stage} == {length}
        assert len({move.multiplier for move in stage}) == 10
        assert all(1e-3 <= move.multiplier <= 1 for move in stage)
    every = [{move.validate_every for move in stage} for stage in by_stage]
    assert every == [{0}, {0}, {0}, {0}, {50}]


def test_a_rest_is_a_shorter_stage_and_a_short_one_is_not_searched() -> None:
    tries, changes = plan(AutoLRS(steps=1650, lowest=0.1, first=200, longest=400))
    assert [change.step for change in changes] == [0, 200, 600, 1000, 1400]
    assert tries[-1].steps == 25
    tries, changes = plan(AutoLRS(steps=690, lowest=0.1, first=200, longest=400))
    assert [change.step for change in changes] == [0, 200, 600]
    assert tries[-1].step == 200
    assert changes[-1].multiplier == changes[-2].multiplier


def test_the_best_forecast_is_chosen_and_divergence_never() -> None:
    policy = AutoLRS(steps=100, lowest=1e-2, first=100, longest=100, candidates=3)
    record = [
        Tried(0, 0.01, (3.0,) * 10),
        Tried(0, 0.1, tuple(2 + math.exp(-t / 3) for t in range(10))),
        Tried(0, 1.0, (3.0, 1.0, math.nan, *(1.0,) * 7)),
    ]
    assert next_move(record, policy) == Change(0, 0.1)


def test_validations_that_reach_the_initial_loss_count_by_their_last() -> None:
    policy = AutoLRS(steps=200, lowest=1e-2, first=100, longest=100, candidates=2)
    falling = tuple(5 - t / 100 for t in range(10))
    rising_first = (6.0, *(3.0,) * 8, 4.5)  # its forecast would be about 3
    record = [
        *(Tried(0, m, (5.5,) * 10) for m in (0.1, 0.2)),
        Change(0, 0.1),
        Tried(100, 0.3, rising_first),
        Tried(100, 0.4, falling),
    ]
    move = next_move(record, policy)
    assert isinstance(move, Change)
    # The falling one is foretold below 4.5.
    assert move.multiplier == 0.4


def test_seeds_differ_in_where_a_stage_begins() -> None:
    first = {next_move([], AutoLRS(steps=1000, lowest=1e-3, seed=seed)) for seed in range(5)}
    assert len(first) == 5
    again = AutoLRS(steps=1000, lowest=1e-3, seed=3)
    assert next_move([], again) == next_move([], again)


class KilledError(Exception):
    pass


class Quadratic:
    """SGD on a noisy quadratic; batch k is a function of k, its checkpoint some steps old."""

    def __init__(self, dies: random.Random | None = None) -> None:
        self.kept = (0, (3.0, 3.0))
        self.dies = dies
        self.restart()

    def restart(self) -> None:
        self.step, self.at = self.kept

    def train(self, multiplier: float, steps: int) -> None:
        for _ in range(steps):
            self._advance(multiplier)
            if self.step % 70 == 0:
                self.kept = (self.step, self.at)

    def attempt(self, move: Try) -> Sequence[float]:
        before = self.step, self.at
        assert self.step == move.step
        losses = [self._advance(move.multiplier) for _ in range(move.steps)]
        if move.validate_every:
            losses = losses[:: move.validate_every]
        self.step, self.at = before
        return losses

    def loss(self) -> float:
        return 1 + sum(c * x**2 for c, x in zip((1.0, 0.05), self.at, strict=True)) / 2

    def _advance(self, multiplier: float) -> float:
        if self.dies is not None and self.dies.random() < 2e-3:
            raise KilledError
        draw = random.Random(self.step)
        loss = self.loss()
        self.at = tuple(
            x - 1.5 * multiplier * (c * x + draw.gauss(0, 0.3))
            for c, x in zip((1.0, 0.05), self.at, strict=True)
        )
        self.step += 1
        return loss


POLICY = AutoLRS(steps=900, lowest=1e-3, first=100, longest=200)


def test_it_finds_a_large_rate_first_and_a_small_one_at_the_end(tmp_path: Path) -> None:
    trainer = Quadratic()
    record = run_autolrs(trainer, POLICY, tmp_path / "schedule.jsonl")
    changes = [entry.multiplier for entry in record if isinstance(entry, Change)]
    assert changes[0] > 0.1
    assert changes[-1] < changes[0] / 3
    for constant in (1.0, 0.3):
        fixed = Quadratic()
        fixed.train(constant, POLICY.steps)
        assert trainer.loss() < fixed.loss()


def test_the_record_alone_replays_the_run(tmp_path: Path) -> None:
    trainer, again = Quadratic(), Quadratic()
    run_autolrs(trainer, POLICY, tmp_path / "schedule.jsonl")
    follow(again, read_record(tmp_path / "schedule.jsonl"), POLICY.steps)
    assert again.at == trainer.at


@pytest.mark.parametrize("seed", range(3))
def test_killed_anywhere_it_goes_on_to_the_same_end(tmp_path: Path, seed: int) -> None:
    whole = Quadratic()
    expected = run_autolrs(whole, POLICY, tmp_path / "whole.jsonl")
    trainer, deaths = Quadratic(random.Random(seed)), 0
    while True:
        try:
            found = run_autolrs(trainer, POLICY, tmp_path / "killed.jsonl")
            break
        except KilledError:
            deaths += 1
            trainer.restart()
    assert deaths > 0
    assert found == expected
    assert trainer.at == whole.at


def test_a_run_ahead_of_its_record_is_refused(tmp_path: Path) -> None:
    trainer = Quadratic()
    trainer.train(0.1, 50)
    with pytest.raises(WindtunnelError, match="ends at step 0, but the run has done 50"):
        run_autolrs(trainer, POLICY, tmp_path / "schedule.jsonl")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lowest": 0.0}, "lowest: 0 is no multiplier between 0 and 1"),
        ({"lowest": 1.0}, "lowest: 1 is no multiplier"),
        ({"first": 99}, "first: stages of 99 to 8000 steps; they need at least 100"),
        ({"longest": 500}, "first: stages of 1000 to 500"),
        ({"candidates": 0}, "candidates: at least one"),
        ({"steps": 99}, "steps: a run of 99"),
    ],
)
def test_refuses_in_words(settings: dict[str, float], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        AutoLRS(**{"steps": 10_000, "lowest": 1e-3, **settings})  # type: ignore[arg-type]
