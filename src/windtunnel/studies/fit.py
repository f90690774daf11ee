"""Fill the ladder between its tuned lengths, and fit the loss law to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from windtunnel.errors import CannotSayError
from windtunnel.laws.optimum import Optimum, Trial, fit_optima, fit_optimum
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Run
from windtunnel.search.fixed import FixedPolicy
from windtunnel.search.policy import Decision
from windtunnel.search.table import Row
from windtunnel.studies.execute import execute
from windtunnel.studies.study import Study
from windtunnel.studies.tune import optimum_json, trials_of

Optima = Mapping[tuple[int, int], Mapping[str, Any]]  # (width, units) -> tuned optimum


def fit(study: Study, progress: StudyProgress) -> dict[str, Any]:
    """Train the ladder's lengths between the tuned ones and write the law's points to `fit.json`.

    A tuned scale enters with the loss of its first seed at the fitted optimum; a length between
    with that of one run at the rate interpolated in log-tokens. It is one seed throughout, and the
    target's: some of a seed's luck lasts along widths and lengths (correlations of about 0.3 in
    benchmarks/results/seed_noise.md), so mixing seeds would bend the curve.

    At one scale between, rates an octave to either side are trained too, to see whether the
    interpolated one was right.
    """
    tuned_by = study.needed("tune", "tune")
    if "recipes" in tuned_by:
        return _fit_recipes(study, tuned_by["recipes"], progress)
    optima = tuned_optima(study)
    if not optima:
        raise CannotSayError(f"fit: no scale has an optimum ({tuned_by['reason']})")
    between = _between(study, optima)
    checked_at = _checked_scale(study)
    runs = [Decision(run, f"law: {width} x {units:,}") for (width, units), run in between.items()]
    beside = [
        Decision(
            run.replace(recipe=run.recipe.replace(lr=run.recipe.lr * factor)),
            "law: beside the interpolated rate",
        )
        for at, run in between.items()
        if at == checked_at
        for factor in (0.5, 2.0)
    ]
    table = execute(study, "fit", FixedPolicy([*runs, *beside]), progress)[0] if runs else ()
    tuned = _first_seed(study)
    outcome = {
        "points": _points(study, tuned, dict(zip(between, table, strict=False))),
        # Runs scatter about their sweeps' curves by this share of the loss, as the target will.
        "run_noise": max(optimum.noise for optimum in tuned.values()),
        "interpolation": _interpolation(checked_at, between, table, len(runs)),
    }
    study.write("fit", outcome)
    return outcome


def _fit_recipes(
    study: Study, recipes: Sequence[Mapping[str, Any]], progress: StudyProgress
) -> dict[str, Any]:
    """Train every scale of the ladder with the recipe that the search names for it.

    On the study's first seed, which the search never saw: the best of many losses flatters.
    """
    runs = [
        study.run(
            study.rule,
            study.proxy(at["width"], at["units"]),
            study.spec.recipe.recipe(lr=at["lr"]).replace(**at["others"]),
        )
        for at in sorted(recipes, key=lambda at: at["width"] ** 2 * at["units"])
    ]
    decisions = [
        Decision(run, f"law: {run.scale.width} x {run.scale.units:,}, the best recipe there")
        for run in runs
    ]
    table, _ = execute(study, "fit", FixedPolicy(decisions), progress)
    losses = {
        (row.run.scale.width, row.run.scale.units): row.loss
        for row in table
        if row.loss is not None
    }
    outcome = {
        "points": _law_points(study, losses, tuned=frozenset()),
        "run_noise": 0.0,  # no scale was searched thoroughly enough to tell it
        "interpolation": None,
    }
    study.write("fit", outcome)
    return outcome


def tuned_optima(study: Study) -> Optima:
    """The study's own rule's optimum at every tuned scale, with `others`: what else was tuned."""
    return {
        (sweep["width"], sweep["units"]): {**sweep["optimum"], "others": sweep.get("others", {})}
        for sweep in study.needed("tune", "tune")["sweeps"]
        if sweep["rule"] == study.rule and sweep["optimum"] is not None
    }


def interpolated_lr(optima: Optima, width: int, units: int) -> float:
    """The rate at one width and length, linear in log-tokens between the tuned lengths."""
    tuned = sorted((length, o["log2_value"]) for (w, length), o in optima.items() if w == width)
    (low, at_low), (high, at_high) = tuned[0], tuned[-1]
    if low == high:
        return float(2**at_low)
    share = math.log(units / low) / math.log(high / low)
    return float(2 ** (at_low + share * (at_high - at_low)))


def _between(study: Study, optima: Optima) -> dict[tuple[int, int], Any]:
    """One run at each width and each length that was not tuned, cheapest first."""
    ladder = study.spec.ladder
    scales = [
        (width, units)
        for units in ladder.units[1:-1]
        for width in ladder.width
        if any(tuned == width for tuned, _ in optima) and (width, units) not in optima
    ]
    return {
        (width, units): study.run(
            study.rule,
            study.proxy(width, units),
            study.spec.recipe.recipe(lr=interpolated_lr(optima, width, units)).replace(
                **_longest(optima, width)["others"]
            ),
        )
        for width, units in sorted(scales, key=lambda scale: scale[0] ** 2 * scale[1])
    }


def _longest(optima: Optima, width: int) -> Mapping[str, Any]:
    """The optimum of a width at its longest tuned length."""
    return optima[max(scale for scale in optima if scale[0] == width)]


def _checked_scale(study: Study) -> tuple[int, int] | None:
    ladder = study.spec.ladder
    between = ladder.units[1:-1]
    return (ladder.width[len(ladder.width) // 2], between[len(between) // 2]) if between else None


def _points(
    study: Study,
    tuned: Mapping[tuple[int, int], Optimum],
    between: Mapping[tuple[int, int], Row[Run]],
) -> list[dict[str, Any]]:
    losses = {at: optimum.loss for at, optimum in tuned.items()} | {
        at: row.loss for at, row in between.items() if row.loss is not None
    }
    return _law_points(study, losses, tuned=frozenset(tuned))


def _law_points(
    study: Study, losses: Mapping[tuple[int, int], float], *, tuned: frozenset[tuple[int, int]]
) -> list[dict[str, Any]]:
    points = []
    for (width, units), loss in sorted(losses.items()):
        count = study.family.parameter_count(study.proxy(width, units))
        points.append(
            {
                "width": width,
                "params": count.non_embedding,
                "units": units,
                "loss": loss,
                "tuned": (width, units) in tuned,
            }
        )
    return points


def _first_seed(study: Study) -> dict[tuple[int, int], Optimum]:
    """The first seed's optimum at every tuned scale of the study's own rule."""
    first = study.run(study.rule, study.base, study.spec.recipe.recipe(lr=1.0)).init_seed
    trials = {
        (sweep["width"], sweep["units"]): [t for t in trials_of(sweep) if t.seed == first]
        for sweep in study.needed("tune", "tune")["sweeps"]
        if sweep["rule"] == study.rule and sweep["optimum"] is not None
    }
    finite = {at: own for at, own in trials.items() if any(t.loss is not None for t in own)}
    return fit_optima(finite)


def _interpolation(
    at: tuple[int, int] | None,
    between: Mapping[tuple[int, int], Any],
    table: Sequence[Row[Run]],
    lone_runs: int,
) -> dict[str, Any] | None:
    """What the extra rates at one scale say of the interpolated one."""
    if at is None or at not in between:
        return None
    rows = [row for row in table if row.run == between[at]] + list(table[lone_runs:])
    if sum(row.loss is not None for row in rows) < 2:
        return None
    optimum = fit_optimum([Trial(row.run.recipe.lr, row.loss) for row in rows])
    return {
        "width": at[0],
        "units": at[1],
        "interpolated_lr": between[at].recipe.lr,
        "optimum": optimum_json(optimum),
        "octaves_off": math.log2(between[at].recipe.lr) - optimum.log2_value,
    }
