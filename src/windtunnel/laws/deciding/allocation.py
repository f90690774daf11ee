"""How to split a budget of FLOPs between parameters and tokens, and how much the split matters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.compute import FlopsPerToken, six_per_parameter
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.optimum import (
    FEWEST_TOKENS,
    MOST_TOKENS,
    optimal_params,
    size_bounds,
)
from windtunnel.laws.deciding.surface import Metric, Surface, surface_of
from windtunnel.laws.forecasting import Verdict
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array

# Shares of the best loss by which a size in the valley may miss it.
VALLEYS = (0.001, 0.005)
# What a split may cost in loss, should another draw of the law be right. At 1e23 FLOPs and by the
# law of Besiroglu et al. 2024 half a percent of the loss is a fifth of the compute, 2 % three
# fifths of it.
_SMALL_REGRET, _LARGE_REGRET = 0.005, 0.02
# Beyond the ratios varied, the split is read off an extrapolation; ten times beyond, off nothing.
_FAR_RATIO = 10.0
_NEAR_END = 1e-2  # nats from the end of the search at which a draw counts as without optimum


@dataclass(frozen=True, slots=True)
class Allocation:
    """The compute-optimal split of a budget.

    Attributes:
        flops: The budget.
        params: Parameters.
        tokens: Training tokens.
        tokens_per_param: Their ratio.
        loss: What the law says there (for what a run will reach, and its range, ask
            `forecast_law`).
        valley: Sizes whose loss at the same budget is within a share of the best: share to the
            least and the greatest of them.
        regret: Share of the loss that this split costs at most, by 95 % of the law's draws,
            against the split that is best by the draw.
        verdict: On the split, not on the loss: `ok`, `wide` or `cannot say`.
        reasons: Sentences; none where all is well.
    """

    flops: float
    params: Estimate
    tokens: Estimate
    tokens_per_param: Estimate
    loss: float
    valley: Mapping[float, tuple[float, float]]
    regret: float
    verdict: Verdict
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "flops": self.flops,
            "params": self.params.to_json(),
            "tokens": self.tokens.to_json(),
            "tokens_per_param": self.tokens_per_param.to_json(),
            "law_loss": self.loss,
            "valley": [
                {"within": share, "params": list(sizes)} for share, sizes in self.valley.items()
            ],
            "regret": self.regret,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
        }


def allocate(
    law: Law,
    flops: float,
    *,
    fixed: Mapping[str, float] | None = None,
    flops_per_token: FlopsPerToken = six_per_parameter,
    most_tokens: float = math.inf,
) -> Allocation:
    """Split a budget of training FLOPs.

    Args:
        law: Of a form with parameters and tokens.
        flops: The budget.
        fixed: The form's other inputs.
        flops_per_token: Training FLOPs a token, by parameters.
        most_tokens: More are not to be had.

    Raises:
        WindtunnelError: The budget is no positive number or too large for the tokens there are,
            or the law can't be asked.
    """
    if not (math.isfinite(flops) and flops > 0):
        raise WindtunnelError(f"allocation: a budget of {flops} FLOPs is not a positive number")
    surface = surface_of(law, fixed)
    spend = np.array([flops])
    _, largest = size_bounds(spend, flops_per_token)
    if flops / float(flops_per_token(largest)[0]) > most_tokens:
        raise WindtunnelError(
            f"allocation: {flops:.3g} FLOPs on {most_tokens:.3g} tokens at most would be less than "
            f"{FEWEST_TOKENS:g} tokens a parameter; find more text, or spend less"
        )

    def best(metric: Metric) -> float:
        found = optimal_params(
            metric, spend, flops_per_token=flops_per_token, most_tokens=most_tokens
        )
        return float(found[0])

    def tokens_of(params: float) -> float:
        return flops / float(flops_per_token(np.array(params)))

    params = best(surface.best)
    tokens = tokens_of(params)
    each = np.array([best(metric) for metric in surface.drawn])
    sizes = Estimate.of(params, each, widening=law.spread.widening)
    here = (np.array([params]), np.array([tokens]))
    regret = float(
        np.quantile(
            [
                _share(metric(*here)[0], metric(np.array([size]), np.array([tokens_of(size)]))[0])
                for metric, size in zip(surface.drawn, each, strict=True)
            ],
            0.95,
        )
    )
    verdict, reasons = _judge(
        law,
        tokens / params,
        regret,
        bounded=tokens < 0.999 * most_tokens,
        ends=_at_ends(np.append(each, params), flops, flops_per_token),
    )
    return Allocation(
        flops=flops,
        params=sizes,
        tokens=sizes.through(tokens_of),
        tokens_per_param=sizes.through(lambda size: tokens_of(size) / size),
        loss=float(surface.best(*here)[0]),
        valley=_valleys(surface, flops, params, flops_per_token, most_tokens),
        regret=regret,
        verdict=verdict,
        reasons=reasons,
    )


def _share(metric: float, best: float) -> float:
    return max(0.0, float((metric - best) / abs(best)))


def _valleys(
    surface: Surface,
    flops: float,
    best: float,
    flops_per_token: FlopsPerToken,
    most_tokens: float,
) -> dict[float, tuple[float, float]]:
    low, high = size_bounds(np.array([flops]), flops_per_token)
    logs = np.union1d(np.linspace(np.log(low[0]), np.log(high[0]), 4001), np.log(best))
    tokens = flops / flops_per_token(np.exp(logs))
    losses = surface.best(np.exp(logs), tokens)
    allowed = tokens <= most_tokens * (1 + 1e-6)
    least = float(surface.best(np.array([best]), flops / flops_per_token(np.array([best])))[0])
    found = {}
    for share in VALLEYS:
        inside = np.flatnonzero(allowed & (losses <= least + share * abs(least)))
        found[share] = (float(np.exp(logs[inside[0]])), float(np.exp(logs[inside[-1]])))
    return found


def _at_ends(sizes: Array, flops: float, flops_per_token: FlopsPerToken) -> np.ndarray:
    low, high = size_bounds(np.array([flops]), flops_per_token)
    nats = np.minimum(np.log(sizes / low[0]), np.log(high[0] / sizes))
    return np.asarray(nats < _NEAR_END)


def _judge(
    law: Law, ratio: float, regret: float, *, bounded: bool, ends: np.ndarray
) -> tuple[Verdict, tuple[str, ...]]:
    """The split's verdict.

    Args:
        law: For the ratios its rows varied.
        ratio: Tokens a parameter.
        regret: See `Allocation.regret`.
        bounded: The law set the optimum, not the tokens there are.
        ends: (draws + 1,) whether the optimum ran to an end of the search, the law's own last.
    """
    if ends[-1]:
        return "cannot say", (
            f"the law has no best size between {FEWEST_TOKENS:g} and {MOST_TOKENS:g} tokens a "
            "parameter; add runs of other sizes and lengths at one cost",
        )
    verdicts: list[Verdict] = ["ok"]
    reasons = []
    varied = law.inputs["tokens"] / law.inputs["params"]
    low, high = float(varied.min()), float(varied.max())
    beyond = max(low / ratio, ratio / high)
    if bounded and beyond > 1:
        verdicts.append("cannot say" if beyond > _FAR_RATIO else "wide")
        reasons.append(
            f"the best split has {ratio:.3g} tokens a parameter and the runs had {low:.3g} to "
            f"{high:.3g}; add runs nearer to it"
        )
    if regret > _SMALL_REGRET:
        verdicts.append("cannot say" if regret > _LARGE_REGRET else "wide")
        reasons.append(
            f"the runs leave the split so open that this one may cost {100 * regret:.2g} % of the "
            "loss; add runs of other sizes and lengths at one cost"
        )
    if ends.mean() > 0.05:
        verdicts.append("wide")
        reasons.append(f"{100 * ends.mean():.0f} % of the law's draws have no best size at all")
    order: tuple[Verdict, ...] = ("ok", "wide", "cannot say")
    return max(verdicts, key=order.index), tuple(reasons)
