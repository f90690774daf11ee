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
# The variance of a run's loss falls with its length to the power 1.2 or so
# (benchmarks/results/seed_noise.md). What the law's form misses falls too: width gains more in
# longer runs, so without weights forecasts come out too high. Chosen on studies made before those
# in benchmarks/results/quickstart_seeds.md, which test it.
_WEIGHT_POWER = 1.5


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
    points = [
        LawPoint(
            params=point["params"],
            units=point["units"],
            loss=point["loss"],
            group=f"{point['width']} x {point['units']}",
            weight=point["units"] ** _WEIGHT_POWER,
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
    if study.target.depth != study.spec.ladder.depth:
        outcome |= {
            "verdict": "cannot say",
            "reason": "the target changes depth and the ladder holds one value of it; give the "
            "ladder the target's depth",
        }
    study.write("forecast", outcome)
    return outcome


def transferred_lr(study: Study) -> dict[str, Any]:
    """The base's rate for the target, and its range.

    Where the optimum transfers along width, every width at the longest tuned length measures the
    same number: their mean, each by its precision. Elsewhere it is the largest width's own. The
    range adds how far the measured drift could carry it over the remaining distance in width and
    length. `others` are the values tuned beside the rate, at the largest width.

    Raises:
        WindtunnelError: No sweep of the study's own rule has an optimum.
    """
    optima = tuned_optima(study)
    if not optima:
        raise WindtunnelError(
            "forecast: no learning rate has an optimum yet; `windtunnel tune` says why."
        )
    axes = {axis["axis"]: axis for axis in study.needed("transfer", "transfer")["axes"]}
    largest, units = max(optima, key=lambda scale: (scale[1], scale[0]))
    one_number = axes["width"]["verdict"] == "transfers"
    measured = [
        (width, optimum)
        for (width, length), optimum in optima.items()
        if length == units and (width == largest or (one_number and optimum["se"] is not None))
    ]
    others = optima[largest, units]["others"]
    if optima[largest, units]["se"] is None:
        return {"lr": optima[largest, units]["lr"], "lr_ci90": None, "others": others}
    precisions = [optimum["se"] ** -2 for _, optimum in measured]
    half = math.fsum((o["ci90"][1] - o["log2_value"]) ** -2 for _, o in measured) ** -0.5
    middle = _mean([optimum["log2_value"] for _, optimum in measured], precisions)
    log2_width = _mean([math.log2(width) for width, _ in measured], precisions)
    octaves = {
        "width": math.log2(study.target.width) - log2_width,
        study.spec.unit: math.log2(study.target.units / units),
    }
    below = above = half
    for name, axis in axes.items():
        if axis["slope_ci90"] is not None:
            reach = [slope * octaves[name] for slope in axis["slope_ci90"]]
            below = math.hypot(below, min(0.0, *reach))
            above = math.hypot(above, max(0.0, *reach))
    return {
        "lr": 2**middle,
        "lr_ci90": [2 ** (middle - below), 2 ** (middle + above)],
        "others": others,
    }


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / math.fsum(weights)


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
