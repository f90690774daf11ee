"""A plan in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from windtunnel.laws.deciding.allocation import Allocation
from windtunnel.laws.deciding.alternatives import Alternative
from windtunnel.laws.deciding.amount import amount
from windtunnel.laws.deciding.cost import CostModel
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.inference import InferenceAware
from windtunnel.laws.deciding.limits import WORTHWHILE_EPOCHS, Limits
from windtunnel.laws.forecasting import LawForecast


def plan_sentences(
    split: Allocation,
    forecast: LawForecast,
    cost: CostModel | None,
    hours: Estimate | None,
    money: Estimate | None,
    others: Sequence[Alternative],
    serving: InferenceAware | None,
    served_tokens: float | None,
    limits: Limits,
    most_tokens: float,
) -> tuple[str, ...]:
    """What to train, what it will reach and cost, and what speaks against it.

    Args:
        split: Parameters and tokens.
        forecast: Of the loss.
        cost: Behind the hours.
        hours: Device hours.
        money: What they cost.
        others: Other sizes at equal compute.
        serving: The model that is cheapest to train and serve.
        served_tokens: How many it serves.
        limits: Text, memory, devices and days.
        most_tokens: Tokens worth training on, for the text there is.
    """
    said = [
        f"Train {_range(split.params)} parameters on {_range(split.tokens)} tokens, "
        f"{split.tokens_per_param.value:.3g} a parameter: {split.flops:.3g} FLOPs."
    ]
    if split.tokens.value > 0.999 * most_tokens:
        said.append(
            f"The tokens are all there are, {WORTHWHILE_EPOCHS:.0f} times over; more text would "
            "allow a smaller model and a lower loss."
        )
    if forecast.value is None or forecast.ci90 is None:
        said.append(f"Its loss: cannot say, {forecast.reason}.")
    else:
        low, high = forecast.ci90
        said.append(
            f"Its loss: {forecast.value:.4g} ({low:.4g} to {high:.4g}), {forecast.verdict}: "
            f"{forecast.reason}."
        )
    if cost is not None and hours is not None:
        price = "" if money is None else f" and {_range(money)} in money"
        said.append(f"It takes {_range(hours)} GPU-hours{price}, from {cost.source}.")
    low, high = split.valley[0.005]
    changes = "; ".join(
        f"{one.times:g} times the size costs {_range(one.loss_change, _percent)}" for one in others
    )
    said.append(
        f"Sizes from {amount(low)} to {amount(high)} come within 0.5 % of its loss at the same "
        f"compute ({changes})."
    )
    if serving is not None and served_tokens is not None and serving.saving is not None:
        more = serving.training_flops.value / split.flops
        said.append(
            f"To serve {amount(served_tokens)} tokens as well, train {_range(serving.params)} "
            f"parameters on {_range(serving.tokens)} tokens, {more:.3g} times the training: the "
            f"same loss, and {_range(serving.saving, _share)} less compute over both."
        )
        if serving.tokens.value > most_tokens:
            said.append(f"That takes more than {WORTHWHILE_EPOCHS:.0f} times the text there is.")
    return (*said, *(_sentence(one) for one in (*split.reasons, *limits.sentences)))


def _range(estimate: Estimate, form: Callable[[float], str] = amount) -> str:
    value, low, high = (form(each) for each in (estimate.value, *estimate.ci90))
    return value if low == value == high else f"{value} ({low} to {high})"


def _percent(value: float) -> str:
    return f"{100 * value:+.2g} %"


def _share(value: float) -> str:
    return f"{100 * value:.2g} %"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
