"""Say the target's hyperparameters and loss, and write that down before the target is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.laws.chinchilla import ChinchillaFit
from windtunnel.laws.forecast import Forecast
from windtunnel.laws.forecast import forecast as forecast_loss
from windtunnel.laws.points import LawPoint
from windtunnel.studies.execute import results
from windtunnel.studies.fit import tuned_optima
from windtunnel.studies.study import Study

_CURVE_POINTS = 25
_BAND_POINTS = 7


def forecast(study: Study) -> dict[str, Any]:
    """Forecast the target from the ladder and write `forecast.json`, once.

    What was written before is returned as it stands: a forecast is never adjusted, least of all
    after the target has started.
    """
    written = study.read("forecast")
    if written is not None:
        return written
    if results(study)["target"]:
        raise WindtunnelError(
            "forecast: the target was trained already, so whatever is said now is no forecast; "
            "undo the last change of study.yaml, or start a study in a new folder."
        )
    fitted = study.needed("fit", "fit")
    # The variance of a run's loss falls as its length grows (benchmarks/results/seed_noise.md),
    # and so does what the law's form misses.
    points = [
        LawPoint(
            params=point["params"],
            units=point["units"],
            loss=point["loss"],
            group=f"{point['width']} x {point['units']}",
            weight=point["units"],
        )
        for point in fitted["points"]
    ]
    params = study.family.parameter_count(study.target).non_embedding
    noise = fitted["run_noise"]
    said = forecast_loss(points, params, study.target.units, seed=study.spec.seed, seed_noise=noise)
    outcome = {
        **transferred_lr(study),
        "loss": said.loss,
        "ci90": None if said.ci90 is None else list(said.ci90),
        "verdict": said.verdict,
        "reason": said.reason,
        "axes": [axis.to_json() for axis in said.axes],
        "back_test": [test.to_json() for test in said.back_tests],
        "spread": said.spread,
        "params": params,
        "units": study.target.units,
        "law": None if said.law is None else _law(study, said.law, points, fitted),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    study.write("forecast", outcome)
    return outcome


def transferred_lr(study: Study) -> dict[str, Any]:
    """The base's rate for the target: the optimum of the proxy nearest to it, and its range.

    That is the largest width at the longest tuned length. The range adds, to the optimum's own,
    how far the measured drift could carry it over the remaining distance in width and length.

    Raises:
        WindtunnelError: No sweep of the study's own rule has an optimum.
    """
    optima = tuned_optima(study)
    if not optima:
        raise WindtunnelError(
            "forecast: no learning rate has an optimum yet; `windtunnel tune` says why."
        )
    width, units = max(optima, key=lambda scale: (scale[1], scale[0]))
    optimum = optima[width, units]
    low, high = optimum["ci90"]
    if low is None or high is None:
        return {"lr": optimum["lr"], "lr_ci90": None}
    middle = optimum["log2_value"]
    below, above = middle - low, high - middle
    octaves = {
        "width": math.log2(study.target.width / width),
        study.spec.unit: math.log2(study.target.units / units),
    }
    for axis in study.needed("transfer", "transfer")["axes"]:
        if axis["slope_ci90"] is not None:
            reach = [slope * octaves[axis["axis"]] for slope in axis["slope_ci90"]]
            below = math.hypot(below, min(0.0, *reach))
            above = math.hypot(above, max(0.0, *reach))
    return {"lr": optimum["lr"], "lr_ci90": [2 ** (middle - below), 2 ** (middle + above)]}


def _law(
    study: Study,
    law: ChinchillaFit,
    points: Sequence[LawPoint],
    fitted: Mapping[str, Any],
) -> dict[str, Any]:
    """The law's parameters, and its curve along length for each width, with the target's range."""
    shortest = min(point.units for point in points)
    longest = max(study.target.units, *(point.units for point in points))
    widths = {point["width"]: point["params"] for point in fitted["points"]}
    lengths = _lengths(shortest, longest, _CURVE_POINTS)
    curves = [
        {
            "width": width,
            "params": params,
            "units": lengths,
            "loss": [law(params, units) for units in lengths],
        }
        for width, params in widths.items()
    ]
    target = study.family.parameter_count(study.target).non_embedding
    band: list[tuple[float, Forecast]] = [
        (
            units,
            forecast_loss(
                points, target, units, seed=study.spec.seed, seed_noise=fitted["run_noise"]
            ),
        )
        for units in _lengths(shortest, longest, _BAND_POINTS)
    ]
    known = [(units, said.loss, said.ci90) for units, said in band if said.ci90 is not None]
    curves.append(
        {
            "width": study.target.width,
            "params": target,
            "units": [units for units, _, _ in known],
            "loss": [loss for _, loss, _ in known],
            "low": [ci90[0] for _, _, ci90 in known],
            "high": [ci90[1] for _, _, ci90 in known],
        }
    )
    return {"parameters": _numbers(law), "curves": curves}


def _numbers(law: ChinchillaFit) -> dict[str, float]:
    return {name: law.to_json()[name] for name in ("E", "A", "B", "alpha", "beta")}


def _lengths(shortest: float, longest: float, count: int) -> list[float]:
    ratio = (longest / shortest) ** (1 / (count - 1))
    return [shortest * ratio**k for k in range(count)]
