"""Finished runs of several methods, as a table of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from windtunnel.laws.table import ColumnUse, Metric

Stage = Literal["final", "tuning", "spot check"]


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """One run that came to its end or diverged.

    Attributes:
        line: Of the file.
        method: Its name.
        scale: Value by size axis, the length apart: `{"width": 256.0}`.
        units: Training length, with a schedule that ends there.
        seed: As the table has it.
        loss: At the end of training; infinite if the run diverged.
        flops: Of the whole run; None where the table does not say.
        seconds: Wall time of the whole run; None likewise.
        params: Parameters of the model; None likewise.
        state_bytes: Of the optimizer's state; None likewise.
        settings: Value by hyperparameter.
        stage: Whether it counts in the comparison or was made to tune the method: a `tuning` run at
            a small scale, or a `spot check` of other settings at a larger one.
        workload: What is trained, for comparisons over several; "" where there is one.
    """

    line: int
    method: str
    scale: Mapping[str, float]
    units: float
    seed: str
    loss: float
    flops: float | None = None
    seconds: float | None = None
    params: float | None = None
    state_bytes: float | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    stage: Stage = "final"
    workload: str = ""


@dataclass(frozen=True, slots=True)
class MethodRuns:
    """The runs of a table, and what was made of its columns.

    Attributes:
        source: Path.
        runs: In the table's order.
        unit: What `FinishedRun.units` counts: tokens, images, steps or flops.
        metric: What the loss is.
        uses: Where every column comes from.
        remarks: What was left out, in sentences for people.
    """

    source: str
    runs: tuple[FinishedRun, ...]
    unit: str
    metric: Metric
    uses: tuple[ColumnUse, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """Their names, in the order of their first final run."""
        return tuple(dict.fromkeys(run.method for run in self.runs if run.stage == "final"))
