"""Say the target's hyperparameters and loss, and write that down before the target is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.forecasting import LawForecast, forecast_law
from windtunnel.laws.law import Law
from windtunnel.laws.reading.memory import table_from_columns
from windtunnel.studies.execute import results
from windtunnel.studies.fit import tuned_optima
from windtunnel.studies.study import Study

_LEAST_POINTS = 6
_CURVE_POINTS = 25
_BAND_POINTS = 7
# The variance of a run's loss falls with its length to the power 1.2 or so
# (benchmarks/results/seed_noise.md). What the law's form misses falls too: width gains more in
# longer runs, so without weights forecasts come out too high. Chosen on studies made before those
# in benchmarks/results/quickstart_seeds.md, which test it.
_WEIGHT_POWER = 1.5

Points = Sequence[Mapping[str, Any]]


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
    points = fitted["points"]
    law = ladder_law(points, fitted["run_noise"], seed=study.spec.seed)
    params = study.family.parameter_count(study.target).non_embedding
    said = _say(law, params, study.target.units)
    in_units = study.spec.unit
    outcome = {
        **transferred_lr(study),
        "loss": said.value,
        "ci90": list(said.ci90),
        "verdict": said.verdict,
        "reason": said.reason.replace("tokens", in_units),
        "axes": [
            {**axis.to_json(), "axis": axis.axis.replace("tokens", in_units)} for axis in said.axes
        ],
        "back_test": law.summary["backtest"],
        "spread": dict(said.spread),
        "params": params,
        "units": study.target.units,
        "law": {
            "form": law.summary["form"],
            "formula": law.summary["formula"],
            "parameters": law.summary["params"],
            "ci90": law.summary["ci90"],
            "curves": _curves(study, law, points, params),
        },
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


def ladder_law(points: Points, run_noise: float, *, seed: int) -> Law:
    """The law of a ladder's points.

    Chinchilla's form under a weak prior where both sizes vary, since a ladder is a few octaves
    long and can't tell a floor from a small exponent; else the form that suits what does vary.

    Args:
        points: Each with `params`, `units` and `loss`.
        run_noise: Standard deviation of one run's log loss from seed to seed; 0 if it isn't known.
        seed: Fixes every draw.

    Raises:
        WindtunnelError: Too few points.
    """
    if len(points) < _LEAST_POINTS:
        raise WindtunnelError(
            f"forecast: the ladder has {len(points)} points and the law needs {_LEAST_POINTS}; add "
            "widths or lengths to it, or see what `windtunnel tune` says of its runs"
        )
    table = table_from_columns(
        {
            "params": [point["params"] for point in points],
            "tokens": [point["units"] for point in points],
            "loss": [point["loss"] for point in points],
            "weight": [point["units"] ** _WEIGHT_POWER for point in points],
        },
        columns={name: name for name in ("params", "tokens", "loss", "weight")},
    )
    both = all(len({point[size] for point in points}) > 1 for size in ("params", "units"))
    return fit_law(
        table,
        form="chinchilla" if both else "auto",
        prior="weak" if both else None,
        rows="all",
        seed_noise=run_noise or None,
        seed=seed,
    )


def _say(law: Law, params: float, units: float) -> LawForecast:
    target = {"params": float(params), "tokens": float(units)}
    known = {name: at for name, at in target.items() if name in law.inputs or name in law.held}
    return forecast_law(law, known)


def transferred_lr(study: Study) -> dict[str, Any]:
    """The base's rate for the target, and its range; a policy that names them has its way.

    Where the optimum transfers along width, every width at the longest tuned length measures the
    same number: their mean, each by its precision. Elsewhere it is the largest width's own. The
    range adds how far the measured drift could carry it over the remaining distance in width and
    length. `others` are the values tuned beside the rate, at the largest width.

    Raises:
        WindtunnelError: No sweep of the study's own rule has an optimum.
    """
    recommended = study.needed("tune", "tune").get("recommended")
    if recommended is not None:
        return {name: recommended[name] for name in ("lr", "lr_ci90", "others")}
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


def _curves(study: Study, law: Law, points: Points, target: float) -> list[dict[str, Any]]:
    """The law along length for each width, and for the target's with the range."""
    shortest = min(point["units"] for point in points)
    longest = max(study.target.units, *(point["units"] for point in points))
    lengths = _lengths(shortest, longest, _CURVE_POINTS)
    curves: list[dict[str, Any]] = [
        {
            "width": width,
            "params": params,
            "units": lengths,
            "loss": [_say(law, params, units).value for units in lengths],
        }
        for width, params in {point["width"]: point["params"] for point in points}.items()
    ]
    band = _lengths(shortest, longest, _BAND_POINTS)
    said = [_say(law, target, units) for units in band]
    curves.append(
        {
            "width": study.target.width,
            "params": target,
            "units": band,
            "loss": [one.value for one in said],
            "low": [one.ci90[0] for one in said],
            "high": [one.ci90[1] for one in said],
        }
    )
    return curves


def _lengths(shortest: float, longest: float, count: int) -> list[float]:
    ratio = (longest / shortest) ** (1 / (count - 1))
    return [shortest * ratio**k for k in range(count)]
