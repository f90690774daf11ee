"""From FLOPs to device hours and money, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.device import Device
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.solver import Array

# Share of the peak that training reaches, where nobody measured it: large runs report .38 to .46
# (Llama 3 405B, Dubey et al. 2024; PaLM, Chowdhery et al. 2022). A careless loop gets less.
DEFAULT_MFU, MFU_RANGE = 0.4, (0.3, 0.5)
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a FLOP of training takes.

    Attributes:
        seconds_per_flop: Of one device.
        rate: Money for one device hour; None where nobody said.
        source: Where the seconds come from, in words.
    """

    seconds_per_flop: Estimate
    rate: float | None
    source: str

    def hours(self, flops: float) -> Estimate:
        """Device hours that FLOPs take."""
        return self.seconds_per_flop.through(lambda seconds: seconds * flops / _HOUR)

    def money(self, flops: float) -> Estimate | None:
        """What FLOPs cost; None without a rate."""
        rate = self.rate
        return None if rate is None else self.hours(flops).through(lambda hours: hours * rate)

    def flops_of_hours(self, hours: float) -> float:
        """FLOPs that device hours buy."""
        return hours * _HOUR / self.seconds_per_flop.value

    def flops_of_money(self, money: float) -> float:
        """FLOPs that money buys.

        Raises:
            WindtunnelError: There is no rate.
        """
        if self.rate is None:
            raise WindtunnelError(
                "money: what does a device hour cost? Give --rate, in the same money"
            )
        return self.flops_of_hours(money / self.rate)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "seconds_per_flop": self.seconds_per_flop.to_json(),
            "rate": self.rate,
            "source": self.source,
        }


def assumed_cost(
    device: Device, *, mfu: float | None = None, rate: float | None = None
) -> CostModel:
    """From a device's peak and the share of it that training reaches.

    Args:
        device: Which.
        mfu: Model FLOPs utilisation, 0 to 1; by default .4, with .3 to .5 as its range.
        rate: Money for one device hour.

    Raises:
        WindtunnelError: The share is not within 0 and 1, or the rate is no positive number.
    """
    _check_rate(rate)
    if mfu is not None and not 0 < mfu <= 1:
        raise WindtunnelError(f"mfu: {mfu} is not a share of the peak; give one such as 0.4")
    used = DEFAULT_MFU if mfu is None else mfu
    low, high = MFU_RANGE if mfu is None else (mfu, mfu)
    peak = device.flops_per_second
    seconds = Estimate(1 / (peak * used), (1 / (peak * high), 1 / (peak * low)))
    said = (
        f"{used:g} of the peak, as given"
        if mfu is not None
        else (f"{used:g} of the peak ({low:g} to {high:g}), assumed; give --mfu if you know yours")
    )
    return CostModel(
        seconds,
        rate,
        f"{device.name} at {peak / 1e12:g} TFLOP/s ({device.source}), {said}",
    )


def measured_cost(columns: Mapping[str, Array], *, rate: float | None = None) -> CostModel | None:
    """From the seconds that finished runs took.

    Args:
        columns: (n,) of the runs' table: `flops`, or `params` and `tokens`; `seconds` of the
            whole run, or `seconds_per_step` with `steps`, or with `batch_tokens` and `tokens`;
            and `devices`, one by default. NaN where a run lacks a value.
        rate: Money for one device hour.

    Returns:
        The median of the runs with their 5 to 95 % as the range; None where the columns do not
        say. Larger models mostly use the hardware better and more devices worse: neither is
        extrapolated.

    Raises:
        WindtunnelError: The rate is no positive number.
    """
    _check_rate(rate)
    flops = columns.get("flops")
    if flops is None and "params" in columns and "tokens" in columns:
        flops = 6.0 * columns["params"] * columns["tokens"]
    seconds = _seconds(columns)
    if flops is None or seconds is None:
        return None
    devices = columns.get("devices", np.ones(flops.size))
    each = seconds * devices / flops
    each = each[np.isfinite(each) & (each > 0)]
    if not each.size:
        return None
    return CostModel(
        Estimate.of(float(np.median(each)), each),
        rate,
        f"the seconds that {each.size} runs of the table took"
        + ("" if "devices" in columns else ", each on one device as far as the table says"),
    )


def recorded_cost(summary: Mapping[str, Any], *, rate: float | None = None) -> CostModel | None:
    """What a fit's summary keeps of `measured_cost` under `cost` (its `to_json`).

    Args:
        summary: `Law.summary`.
        rate: Money for one device hour.

    Returns:
        None where the runs had no seconds.

    Raises:
        WindtunnelError: What is kept is damaged, or the rate is no positive number.
    """
    _check_rate(rate)
    held = summary.get("cost")
    if held is None:
        return None
    try:
        seconds = held["seconds_per_flop"]
        low, high = (float(end) for end in seconds["ci90"])
        return CostModel(Estimate(float(seconds["value"]), (low, high)), rate, str(held["source"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WindtunnelError(
            f"law: the fit's cost is damaged ({error}); make it again with `windtunnel laws fit`"
        ) from error


def _seconds(columns: Mapping[str, Array]) -> Array | None:
    if "seconds" in columns:
        return columns["seconds"]
    if "seconds_per_step" not in columns:
        return None
    if "steps" in columns:
        return columns["seconds_per_step"] * columns["steps"]
    if "batch_tokens" in columns and "tokens" in columns:
        return columns["seconds_per_step"] * columns["tokens"] / columns["batch_tokens"]
    return None


def _check_rate(rate: float | None) -> None:
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise WindtunnelError(f"rate: {rate} is no price of a device hour")
