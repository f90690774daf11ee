"""AutoLRS: each stage's rate is chosen while training, from short tries out of a checkpoint."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.candidates import next_candidate
from windtunnel.schedules.loss_forecast import forecast_loss
from windtunnel.schedules.online import (
    Change,
    Entry,
    Trainer,
    Tried,
    follow,
    multiplier_at,
    read_record,
    save_record,
)

_SHARE = 10  # a stage's tries are each a tenth of it, so that ten of them cost as much as it does
_SHORTEST = 10 * _SHARE  # steps of a stage that is searched: ten losses can be forecast from
_VALIDATIONS = 16  # in a try, once they count
_DIVERGED = 1e6


@dataclass(frozen=True, slots=True)
class AutoLRS:
    """The policy's settings; defaults are those of the code published with the paper.

    Attributes:
        steps: Steps in the whole run.
        lowest: Least multiplier to try; the greatest is 1, so the base rate is the greatest rate.
            Forecasts flatter very small rates: three decades below a rate that trains is plenty.
        first: Steps of the first stage; each is twice as long as the one before it, up to
            `longest`.
        longest: Steps of the longest stages. From the second of these on validation losses are
            forecast instead of training losses.
        candidates: Multipliers tried in a stage.
        caution: How many standard deviations the search takes off its forecasts; with so many it
            tries where it knows least.
        seed: Of each stage's first candidate.
    """

    steps: int
    lowest: float
    first: int = 1000
    longest: int = 8000
    candidates: int = 10
    caution: float = 1e6
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what can't be carried out."""
        if not 0 < self.lowest < 1:
            raise WindtunnelError(f"lowest: {self.lowest:g} is no multiplier between 0 and 1.")
        if not _SHORTEST <= self.first <= self.longest:
            raise WindtunnelError(
                f"first: stages of {self.first} to {self.longest} steps; they need at least "
                f"{_SHORTEST}, and the longest is not shorter than the first."
            )
        if self.candidates < 1:
            raise WindtunnelError("candidates: at least one must be tried.")
        if self.steps < _SHORTEST:
            raise WindtunnelError(f"steps: a run of {self.steps}; it needs at least {_SHORTEST}.")


@dataclass(frozen=True, slots=True)
class Try:
    """Train from `step` for a while under a multiplier, note the losses, and take it back.

    Attributes:
        step: Where it begins.
        multiplier: Of the base rate.
        steps: How long.
        validate_every: Validate each time so many steps are done, and note these losses; 0 to note
            the training loss of every step.
    """

    step: int
    multiplier: float
    steps: int
    validate_every: int


def next_move(record: Sequence[Entry], policy: AutoLRS) -> Try | Change | None:
    """What to do after what the record says: try, set the next stage's rate, or be done.

    A pure function: the same record gives the same move, in any process.

    Source: Jin et al. 2021 (arXiv 2105.10762), with the constants of the code published
    with it.
    """
    stage = sum(isinstance(entry, Change) for entry in record)
    step = sum(_length(policy, earlier) for earlier in range(stage))
    length = min(_length(policy, stage), policy.steps - step)
    if length <= 0:
        return None
    if length < _SHORTEST:  # a rest too short to be worth a search, or to forecast from
        return Change(step, multiplier_at(record, step))
    tried = [entry for entry in record if isinstance(entry, Tried) and entry.step == step]
    steps = length // _SHARE
    every = max(1, steps // _VALIDATIONS) if _validates(policy, stage) else 0
    scores = [_score(entry, length, every, _initial_loss(record)) for entry in tried]
    if len(tried) >= policy.candidates:
        return Change(step, tried[scores.index(min(scores))].multiplier)
    if tried:
        places = [1 - math.log(entry.multiplier) / math.log(policy.lowest) for entry in tried]
        place = next_candidate(places, scores, policy.caution)
    else:
        place = random.Random(f"{policy.seed} {stage}").random()
    return Try(step, policy.lowest ** (1 - place), steps, every)


class TryingTrainer(Trainer, Protocol):
    """A training run that can try something and take it back."""

    def attempt(self, move: Try) -> Sequence[float]:
        """Carry a try out and go back to where it began; its losses, NaN where it diverged."""
        ...


def run_autolrs(trainer: TryingTrainer, policy: AutoLRS, path: Path) -> tuple[Entry, ...]:
    """Train a run to its end under AutoLRS, from its record and its checkpoint if there are any.

    Every entry is written before it is acted on, so a run that is killed goes on with the decisions
    made, and repeats at most one try and what its own checkpoint had not kept.

    Args:
        trainer: The run.
        policy: The settings.
        path: The record's file, such as `schedule.jsonl` in the run's folder.

    Returns:
        The whole record; `follow` replays it.

    Raises:
        WindtunnelError: The trainer is ahead of its record.
    """
    record = read_record(path)
    while True:
        move = next_move(record, policy)
        at = policy.steps if move is None else move.step
        if trainer.step > at:
            raise WindtunnelError(
                f"{path}: ends at step {at}, but the run has done {trainer.step}; restore the "
                "record, or begin the run anew."
            )
        follow(trainer, record, at)
        if move is None:
            return record
        if isinstance(move, Try):
            entry: Entry = Tried(move.step, move.multiplier, tuple(trainer.attempt(move)))
        else:
            entry = move
        record = (*record, entry)
        save_record(path, record)


def _length(policy: AutoLRS, stage: int) -> int:
    length = policy.first
    for _ in range(stage):
        if length >= policy.longest:
            break
        length *= 2
    return min(length, policy.longest)


def _validates(policy: AutoLRS, stage: int) -> bool:
    return stage > 0 and _length(policy, stage - 1) == policy.longest


def _initial_loss(record: Sequence[Entry]) -> float:
    first = next((entry for entry in record if isinstance(entry, Tried) and entry.losses), None)
    return math.inf if first is None else first.losses[0]


def _score(tried: Tried, length: int, every: int, initial: float) -> float:
    """Loss at the stage's end as it is forecast; of validation losses that rose, the last one."""
    losses = tried.losses
    if not all(map(math.isfinite, losses)):
        return _DIVERGED
    if every and max(losses) >= initial:
        return losses[-1]
    return forecast_loss(losses, length / (every or 1), validation=bool(every))
