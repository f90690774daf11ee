"""A table of finished runs with its columns under the names that laws use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from windtunnel.laws.solver import Array

CANONICAL = (
    "params",
    "tokens",
    "flops",
    "loss",
    "run",
    "seed",
    "unique_tokens",
    "experts",
    "vocabulary",
    "steps",
    "lr",
    "batch_tokens",
    "weight_decay",
    "seconds",
    "vocabulary_params",
    "members",
    "weight",
)
Kind = Literal["loss", "error", "accuracy", "normalised loss"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What is predicted.

    Attributes:
        name: The heading it was read from.
        kind: What sort of number it is: laws suit one sort or another.
        unit: `nats`, `bits` or `bits per byte` for a loss (nats and bits are per token); `share`,
            0 to 1, for an error or an accuracy.
    """

    name: str
    kind: Kind
    unit: str


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """Where a canonical column's values come from, and why.

    Attributes:
        name: Canonical name.
        heading: The column read; None where the values were derived from others.
        unit: What a number in the file was taken as: `counts`, `1e9`, `PF-days`, `perplexity` ...
        reason: Half a sentence for people.
        given: Whether the user named the column; if not, it was guessed.
    """

    name: str
    heading: str | None
    unit: str
    reason: str
    given: bool = False


@dataclass(frozen=True, slots=True)
class RunTable:
    """Rows of runs, one a finished run or a checkpoint.

    Attributes:
        source: Path of the file, or `table` for one in memory.
        lines: (n,) line of the file each row begins on, the heading being line 1; for a table in
            memory the number of the row, from 1.
        numbers: (n,) for each numeric column, NaN where a cell is empty. The metric's values are
            always `loss`, whatever its kind; params, tokens and flops are plain counts, seconds
            are seconds. Columns that no canonical name fits keep their headings.
        labels: n texts for each other column; `run` is among them where there is one.
        metric: What `loss` is.
        uses: Where the canonical columns come from.
    """

    source: str
    lines: NDArray[np.int64]
    numbers: Mapping[str, Array]
    labels: Mapping[str, tuple[str, ...]]
    metric: Metric
    uses: tuple[ColumnUse, ...] = ()

    def __len__(self) -> int:
        """Number of rows."""
        return self.lines.size

    @property
    def loss(self) -> Array:
        """(n,) values of the metric."""
        return self.numbers["loss"]

    @property
    def weight(self) -> Array:
        """(n,) how much each row counts, as one over the variance of its metric; 1 by default."""
        given = self.numbers.get("weight")
        return np.ones(len(self)) if given is None else np.where(np.isnan(given), 1.0, given)

    def keep(self, mask: NDArray[np.bool_]) -> RunTable:
        """The rows where `mask`, (n,), is true."""
        kept = np.flatnonzero(mask)
        return replace(
            self,
            lines=self.lines[kept],
            numbers={name: values[kept] for name, values in self.numbers.items()},
            labels={
                name: tuple(texts[row] for row in kept.tolist())
                for name, texts in self.labels.items()
            },
        )

    def groups(self) -> NDArray[np.int64]:
        """(n,) number of the run each row belongs to.

        Checkpoints of one run share one; a row without a run's name is a run of its own.
        """
        runs = self.labels.get("run")
        if runs is None:
            return np.arange(len(self))
        found: dict[object, int] = {}
        return np.array(
            [found.setdefault(run or row, len(found)) for row, run in enumerate(runs)],
            dtype=np.int64,
        )

    def use(self, name: str) -> ColumnUse | None:
        """Where a canonical column comes from; None where the table lacks it."""
        return next((use for use in self.uses if use.name == name), None)
