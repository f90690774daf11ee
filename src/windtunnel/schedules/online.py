"""The record of a schedule that is decided while training: what was tried, and what was set.

A run goes on from its record, and is replayed from it, without asking the policy again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically


@dataclass(frozen=True, slots=True)
class Change:
    """From a step on the base rate is multiplied by this, until the next change."""

    step: int
    multiplier: float


@dataclass(frozen=True, slots=True)
class Tried:
    """Losses of a try that began at a step and was taken back; they say why a change was made."""

    step: int
    multiplier: float
    losses: tuple[float, ...]


Entry = Change | Tried


def multiplier_at(record: Sequence[Entry], step: int) -> float:
    """The multiplier that holds at a step.

    Raises:
        WindtunnelError: The record's first change comes later.

    >>> multiplier_at([Change(0, 0.5), Tried(10, 1.0, (2.0,)), Change(10, 0.1)], 9)
    0.5
    """
    changes = [entry for entry in record if isinstance(entry, Change) and entry.step <= step]
    if not changes:
        raise WindtunnelError(f"schedule record: nothing is said of step {step}.")
    return max(changes, key=lambda change: change.step).multiplier


class Trainer(Protocol):
    """A training run that is told its multiplier."""

    @property
    def step(self) -> int:
        """Steps done for good; after a crash, those of the checkpoint that it goes on from."""
        ...

    def train(self, multiplier: float, steps: int) -> None:
        """Take so many steps for good."""
        ...


def follow(trainer: Trainer, record: Sequence[Entry], until: int) -> None:
    """Train up to a step by what the record says; from step 0 on this replays the whole run.

    Raises:
        WindtunnelError: The record says nothing of the trainer's step.
    """
    while trainer.step < until:
        multiplier = multiplier_at(record, trainer.step)
        later = [e.step for e in record if isinstance(e, Change) and e.step > trainer.step]
        trainer.train(multiplier, min([until, *later]) - trainer.step)


def save_record(path: Path, record: Sequence[Entry]) -> None:
    """Write the record as JSON lines; a crash leaves the old one or the new one."""
    lines = [json.dumps(_json(entry), allow_nan=False) + "\n" for entry in record]
    write_atomically(path, "".join(lines))


def read_record(path: Path) -> tuple[Entry, ...]:
    """Read what `save_record` wrote; an empty record where there is no file.

    Raises:
        WindtunnelError: A line is no entry.
    """
    if not path.exists():
        return ()
    entries: list[Entry] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entries.append(_entry(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise WindtunnelError(
                f"{path}, line {number}: no entry of a schedule's record; delete the file to "
                "decide anew."
            ) from error
    return tuple(entries)


def _json(entry: Entry) -> dict[str, object]:
    """JSON has no NaN: a loss that is no finite number is null."""
    value = asdict(entry)
    if isinstance(entry, Tried):
        value["losses"] = [loss if math.isfinite(loss) else None for loss in entry.losses]
    return value


def _entry(value: dict[str, Any]) -> Entry:
    step, multiplier = value["step"], float(value["multiplier"])
    if type(step) is not int or step < 0 or not 0 < multiplier <= 1:
        raise ValueError("a step from 0 on, and a multiplier above 0 and at most 1")
    if "losses" not in value:
        return Change(step, multiplier)
    losses = (math.nan if loss is None else float(loss) for loss in value["losses"])
    return Tried(step, multiplier, tuple(losses))
