"""All that a memo says, worked out from a table of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.budget import Budget
from windtunnel.laws.deciding.candidate_runs import training_flops
from windtunnel.laws.deciding.cost import CostModel, assumed_cost, measured_cost
from windtunnel.laws.deciding.device import Device
from windtunnel.laws.deciding.outlook import Outlook, outlook
from windtunnel.laws.deciding.plan import Plan, plan
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.law import Law
from windtunnel.laws.profile import Profile, profile_parameters
from windtunnel.laws.table import RunTable
from windtunnel.laws.where import rows_where

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Question:
    """What the reader asks.

    Attributes:
        target: The run in mind, a value for each of the law's inputs.
        where: Rows to take; all by default.
        budget: What there is to spend; by default what the target costs.
        device: Kind of device.
        mfu: Share of its peak that training reaches.
        rate: Money for one device hour.
        served_tokens: Tokens read and written over the model's life.
        at_most: A loss that the run should not end above.
    """

    target: Mapping[str, float]
    where: str | None = None
    budget: Budget | None = None
    device: Device | None = None
    mfu: float | None = None
    rate: float | None = None
    served_tokens: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        question: What was asked.
        table: All rows, those left out as well.
        taken: (n,) rows that the question takes.
        used: (n,) rows that the law was fitted to.
        law: The law.
        profiles: Of its parameters.
        target: What is foretold of the target, and what would help.
        target_flops: What it costs; None where the law's inputs do not say.
        cost: What a FLOP takes; None where nobody said.
        plan: What to train; None where the law knows no parameters and tokens.
        planned: What is foretold of the plan's run, and what would help.
    """

    question: Question
    table: RunTable
    taken: Mask
    used: Mask
    law: Law
    profiles: tuple[Profile, ...]
    target: Outlook
    target_flops: float | None
    cost: CostModel | None
    plan: Plan | None
    planned: Outlook | None


def find(table: RunTable, question: Question) -> Findings:
    """Fit, foretell and plan.

    Args:
        table: All rows.
        question: What is asked of them.

    Raises:
        WindtunnelError: No row or no law is left, or the target lacks an input.
    """
    taken = (
        np.ones(len(table), dtype=bool)
        if question.where is None
        else rows_where(table, question.where)
    )
    chosen = table.keep(taken)
    law = fit_law(chosen)
    cost = _cost(chosen, question)
    target = outlook(law, question.target)
    planned = plan_found = None
    flops = _target_flops(law, question)
    if {"params", "tokens"} <= set(law.inputs):
        assert flops is not None
        fixed = {k: v for k, v in question.target.items() if k not in ("params", "tokens")}
        plan_found = plan(
            law,
            question.budget or Budget(flops, "flops"),
            cost=cost,
            device=question.device,
            served_tokens=question.served_tokens,
            fixed=fixed,
        )
        split = plan_found.allocation
        best = {"params": split.params.value, "tokens": split.tokens.value}
        planned = outlook(law, {**fixed, **best})
    elif question.budget is not None:
        raise WindtunnelError(
            f"report: the law is one in {', '.join(law.inputs)}, which shares no budget between "
            "parameters and tokens; leave the budget out, or give a table with both"
        )
    return Findings(
        question,
        table,
        taken,
        _used(table, taken, law),
        law,
        profile_parameters(law),
        target,
        flops,
        cost,
        plan_found,
        planned,
    )


def _cost(table: RunTable, question: Question) -> CostModel | None:
    """From the device named, or else from the seconds that the runs took."""
    if question.device is not None:
        return assumed_cost(question.device, mfu=question.mfu, rate=question.rate)
    if question.mfu is not None:
        raise WindtunnelError("report: --mfu is a share of some device's peak; give --gpu as well")
    return measured_cost(table.numbers, rate=question.rate)


def _target_flops(law: Law, question: Question) -> float | None:
    if "flops" not in law.inputs and not {"params", "tokens"} <= set(law.inputs):
        return None
    at = {name: np.array([question.target[name]]) for name in law.inputs}
    return float(training_flops(at)[0])


def _used(table: RunTable, taken: Mask, law: Law) -> Mask:
    dropped = [row for flag in law.summary["flags"] if flag["dropped"] for row in flag["rows"]]
    used = taken & ~np.isin(table.lines, dropped)
    for name in law.inputs:
        used &= np.isfinite(table.numbers[name])
    return np.asarray(used)
