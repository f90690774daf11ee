"""The coordinate check of a study's family, and what may explain a drift."""

from __future__ import annotations

from typing import Any

from windtunnel.parametrization.rule import load_rule
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.study import Study

_SEQUENCES = 16
_SEEDS = range(4)
_DOUBLINGS = 2  # of the depth
_SHALLOWEST = 4  # below, the stream before the average branch still matters (`check`)
_STEPS = 5


def check(
    study: Study, rule: str | None, progress: StudyProgress, *, depth: bool = False
) -> dict[str, Any]:
    """Check one rule over the ladder's widths and the target's, or read what was found before.

    The rate is half the middle of the spec's bracket: the verdict is about growth with size, which
    every rate of the right order shows, and near the edge of stability noise hides it.

    Args:
        study: An open study.
        rule: A rule's name; None is the study's own.
        progress: Where the bar is shown.
        depth: Check in depth instead of width, from the base's depth over two doublings.

    Returns:
        `windtunnel.parametrization.check.CoordinateCheck` as JSON values, with the rule.
    """
    rule = rule or study.spec.rule
    load_rule(rule)  # a misspelt name is told before anything is built
    axis = "depth" if depth else "width"
    step = f"check-{rule}-depth" if depth else f"check-{rule}"
    found = study.read(step)
    if found is not None:
        return found
    from windtunnel.parametrization.check import check as coordinate_check

    study.begin()
    shallowest = max(_SHALLOWEST, study.base.depth)
    depths = [shallowest * 2**k for k in range(_DOUBLINGS + 1)]
    with progress.step(f"Checking {rule} in {axis}", total=1.0) as bar:
        outcome = coordinate_check(
            study.family,
            rule=rule,
            optimizer=study.spec.optimizer,
            base=study.base,
            widths=() if depth else _widths(study),
            depths=depths if depth else (),
            batch=lambda seed: study.torch_batch(seed, _SEQUENCES),
            lr=_rate(study),
            seeds=_SEEDS,
            steps=_STEPS,
            on_progress=lambda done, every: bar.update(done / every),
        )
    value = {"rule": rule, **outcome.to_json()}
    study.write(step, value)
    return value


def diagnose(study: Study, rule: str | None, progress: StudyProgress) -> dict[str, Any]:
    """Measure in width what a rule's rates take for granted, or read what was found before.

    That is alignment: the power of fan-in by which a layer's updates add up on its inputs.

    Args:
        study: An open study.
        rule: A rule's name; None is the study's own.
        progress: Where the bar is shown.

    Returns:
        `rule`; `alignment`, one `AlignmentDrift` a kind of layer; and `sentences`, what is off
        and what to do, empty where nothing is.
    """
    rule = rule or study.spec.rule
    load_rule(rule)
    found = study.read(f"diagnose-{rule}")
    if found is not None:
        return found
    from windtunnel.parametrization.alignment import alignment_drifts, measure_alignment
    from windtunnel.parametrization.plan import plan

    study.begin()
    plans = {
        width: plan(
            study.family,
            study.base,
            study.base.replace(width=width),
            rule,
            study.spec.optimizer,
        )
        for width in _widths(study)
    }
    measured = {}
    runs = [(width, seed) for seed in _SEEDS for width in plans]
    with progress.step(f"Measuring alignment under {rule}", total=1.0) as bar:
        for done, (width, seed) in enumerate(runs, start=1):
            measured[width, seed] = measure_alignment(
                study.family,
                plans[width],
                batch=study.torch_batch(seed, _SEQUENCES),
                lr=_rate(study),
                seed=seed,
                steps=_STEPS,
            )
            bar.update(done / len(runs))
    drifts = alignment_drifts(plans, measured)
    value = {
        "rule": rule,
        "alignment": [drift.to_json() for drift in drifts],
        "sentences": [drift.sentence for drift in drifts if drift.sentence is not None],
    }
    study.write(f"diagnose-{rule}", value)
    return value


def _widths(study: Study) -> list[int]:
    return sorted({*study.spec.ladder.width, study.target.width})


def _rate(study: Study) -> float:
    bracket = study.spec.search.hyperparameters["lr"]
    return float((bracket.low * bracket.high) ** 0.5 / 2)
