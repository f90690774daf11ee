"""The members of a population: what each is, what they must share, what each comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.parametrization.plan import Plan
from windtunnel.scale import Run
from windtunnel.training.assemble import drawn, planned
from windtunnel.training.promotion import MetricsRow
from windtunnel.training.result import RunResult
from windtunnel.training.slabs import Placed, placed
from windtunnel.training.utilisation import run_utilisation

# What all members have in common, beside the batch.
_SHARED = ("family", "family_options", "optimizer", "scale", "data", "data_seed", "precision")


@dataclass(slots=True)
class Member:
    """One run's part in a population.

    Attributes:
        run: The run.
        rows: What `metrics.jsonl` has of each step that was read.
        diverged: Whether a loss was not finite; it was the last row's.
        copied: Whether it went on from another member's weights, so that it is no longer its run.
        seconds: Its share of the time that all members took.
        stepping_seconds: Of that, its share of the time for steps alone.
    """

    run: Run
    rows: list[MetricsRow] = field(default_factory=list)
    diverged: bool = False
    copied: bool = False
    seconds: float = 0.0
    stepping_seconds: float = 0.0


def refuse_strangers(runs: Sequence[Run]) -> None:
    """Raise WindtunnelError unless the runs can be members of one population."""
    if not runs:
        raise WindtunnelError("population: no runs; give at least one.")
    if len(set(runs)) < len(runs):
        raise WindtunnelError("population: two of the runs are the same; give each once.")
    if any(run.skip is not None for run in runs):
        raise WindtunnelError("population: a run that may skip steps is trained by itself.")
    for run in runs[1:]:
        for name in _SHARED:
            found, expected = getattr(run, name), getattr(runs[0], name)
            if found != expected:
                raise WindtunnelError(
                    f"population: members share '{name}', and {found!r} is not {expected!r}."
                )
        if run.recipe.batch_units != runs[0].recipe.batch_units:
            raise WindtunnelError(
                f"population: members share their batches, and {run.recipe.batch_units:,} units "
                f"a step are not {runs[0].recipe.batch_units:,}."
            )


def drawn_members(runs: Sequence[Run], family: Family) -> list[dict[str, Placed]]:
    """Each member's parameters as its own run would draw them, and how they are updated.

    Raises:
        WindtunnelError: As for `assemble`; or the optimizer has no update rule.
    """
    plans: dict[Any, Plan] = {}
    members = []
    for run in runs:
        rule = (run.rule, run.rule_content, run.base)
        if rule not in plans:
            plans[rule] = planned(run, family)
        members.append(placed(run, drawn(run, family, plans[rule]), plans[rule]))
    return members


def member_result(
    member: Member,
    sequences: Tensor | None,
    family: Family,
    environment: dict[str, Any],
    device: torch.device,
) -> RunResult:
    """What a member came to, as a run.

    Args:
        member: Finished or diverged.
        sequences: Its loss of each validation sequence; None if it diverged.
        family: Its family.
        environment: What it was trained on.
        device: Where.
    """
    run, loss, loss_se = member.run, math.nan, None
    if sequences is not None and not member.diverged:
        loss = sequences.mean().item()
        if len(sequences) > 1:
            loss_se = (sequences.std(correction=1) / len(sequences) ** 0.5).item()
    finished, units = math.isfinite(loss), len(member.rows) * run.recipe.batch_units
    count = family.parameter_count(run.scale)
    return RunResult(
        key=run.key,
        status="finished" if finished else "diverged",
        loss=loss if finished else None,
        loss_se=loss_se if finished else None,
        units=units,
        steps=len(member.rows),
        flops=family.flops_per_unit(run.scale, run.data.sequence_length) * units,
        params=count.total,
        params_non_embedding=count.non_embedding,
        seconds=member.seconds,
        exact=False,
        environment=environment,
        utilisation=run_utilisation(
            run,
            family,
            steps=len(member.rows),
            seconds=member.stepping_seconds,
            device=str(device),
        ),
    )
