"""What to train for a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.allocation import Allocation, allocate
from windtunnel.laws.deciding.alternatives import Alternative, alternatives
from windtunnel.laws.deciding.budget import Budget
from windtunnel.laws.deciding.cost import CostModel
from windtunnel.laws.deciding.device import Device
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.inference import InferenceAware, cheapest_to_serve
from windtunnel.laws.deciding.limits import WORTHWHILE_EPOCHS, Limits, check_limits
from windtunnel.laws.deciding.plan_words import plan_sentences
from windtunnel.laws.forecasting import LawForecast, Verdict, forecast_law
from windtunnel.laws.law import Law

_ORDER: tuple[Verdict, ...] = ("ok", "wide", "cannot say")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train for a budget.

    Attributes:
        budget: As given.
        allocation: Parameters and tokens.
        forecast: What the run will reach.
        cost: What its FLOPs take; None where nobody said.
        hours: Device hours; None without a cost.
        money: None without a rate.
        alternatives: Other sizes at equal compute.
        serving: The model that is cheapest to train and serve at the loss this budget can reach;
            None where nothing is served.
        limits: Text, memory, devices and days.
        verdict: The worse of the split's and the forecast's.
        sentences: In words, the first one what to train.
    """

    budget: Budget
    allocation: Allocation
    forecast: LawForecast
    cost: CostModel | None
    hours: Estimate | None
    money: Estimate | None
    alternatives: tuple[Alternative, ...]
    serving: InferenceAware | None
    limits: Limits
    verdict: Verdict
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        split, forecast = self.allocation, self.forecast
        return {
            "budget": self.budget.to_json(),
            "verdict": self.verdict,
            "sentences": list(self.sentences),
            "flops": split.flops,
            "params": split.params.to_json(),
            "tokens": split.tokens.to_json(),
            "tokens_per_param": split.tokens_per_param.to_json(),
            "loss": {
                "value": forecast.value,
                "ci90": None if forecast.ci90 is None else list(forecast.ci90),
                "verdict": forecast.verdict,
                "reason": forecast.reason,
            },
            "split": {
                key: split.to_json()[key] for key in ("valley", "regret", "verdict", "reasons")
            },
            "gpu_hours": _json(self.hours),
            "money": _json(self.money),
            "cost": _json(self.cost),
            "alternatives": [one.to_json() for one in self.alternatives],
            "serving": _json(self.serving),
            "limits": self.limits.to_json(),
        }


def plan(
    law: Law,
    budget: Budget,
    *,
    cost: CostModel | None = None,
    device: Device | None = None,
    devices: int | None = None,
    days: float | None = None,
    served_tokens: float | None = None,
    serving_cost: float = 1.0,
    unique_tokens: float | None = None,
    fixed: Mapping[str, float] | None = None,
) -> Plan:
    """Plan one training run.

    FLOPs are 6 a parameter and token. The size and the tokens are compute-optimal by the law;
    what serving would change is said beside them. The range of the hours is that of the seconds a
    FLOP takes: size and tokens are the plan's own, and hours given as the budget are spent at the
    middle of it.

    Args:
        law: Of a form with parameters and tokens.
        budget: FLOPs, device hours or money.
        cost: What a FLOP takes; needed for hours and money.
        device: For its memory.
        devices: How many there are.
        days: How long they may run.
        served_tokens: Tokens read and written over the model's life.
        serving_cost: What a served FLOP costs, in trained ones.
        unique_tokens: Text there is. A law of repeated tokens is asked with it; for another the
            plan reads the text at most four times (Muennighoff et al. 2023).
        fixed: The form's other inputs.

    Raises:
        WindtunnelError: An amount is no positive number, hours or money have no price in FLOPs,
            or the law can't be asked.
    """
    for name, value in (
        ("unique tokens", unique_tokens),
        ("days", days),
        ("devices", devices),
        ("served tokens", served_tokens),
    ):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise WindtunnelError(f"plan: {value} {name} is not a positive number")
    flops = budget.flops(cost)
    held, most_tokens = dict(fixed or {}), math.inf
    if unique_tokens is not None:
        if "unique_tokens" in law.fitted.form.inputs:
            held["unique_tokens"] = unique_tokens
        else:
            most_tokens = WORTHWHILE_EPOCHS * unique_tokens
    split = allocate(law, flops, fixed=held, most_tokens=most_tokens)
    params, tokens = split.params.value, split.tokens.value
    forecast = forecast_law(law, {"params": params, "tokens": tokens, **held})
    serving = None
    if served_tokens is not None:
        serving = cheapest_to_serve(
            law, flops, served_tokens, serving_cost=serving_cost, fixed=held
        )
    hours = None if cost is None else cost.hours(flops)
    money = None if cost is None else cost.money(flops)
    limits = check_limits(
        params,
        tokens,
        flops,
        unique_tokens=unique_tokens,
        device=device,
        devices=devices,
        days=days,
        cost=cost,
    )
    others = alternatives(law, params, flops, fixed=held)
    return Plan(
        budget,
        split,
        forecast,
        cost,
        hours,
        money,
        others,
        serving,
        limits,
        max(split.verdict, forecast.verdict, key=_ORDER.index),
        plan_sentences(
            split, forecast, cost, hours, money, others, serving, served_tokens, limits, most_tokens
        ),
    )


def _json(value: Estimate | CostModel | InferenceAware | None) -> dict[str, Any] | None:
    return None if value is None else value.to_json()
