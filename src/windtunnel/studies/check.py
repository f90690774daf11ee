"""The coordinate check of a study's family, and what may explain a drift."""

from __future__ import annotations

from typing import Any

from windtunnel.parametrization.rule import Rule
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
        rule: A rule's name or its file; None is the study's own.
        progress: Where the bar is shown.
        depth: Check in depth instead of width, from the base's depth over two doublings.

    Returns:
        `windtunnel.parametrization.check.CoordinateCheck` as JSON values, with the rule.
    """
    chosen = study.rule_named(rule)  # a misspelt name is told before anything is built
    axis = "depth" if depth else "width"
    step = f"check-{chosen.name}-depth" if depth else f"check-{chosen.name}"
    found = read_for(study, step, chosen)
    if found is not None:
        return found
    from windtunnel.parametrization.check import check as coordinate_check

    study.begin()
    shallowest = max(_SHALLOWEST, study.base.depth)
    depths = [shallowest * 2**k for k in range(_DOUBLINGS + 1)]
    with progress.step(f"Checking {chosen.name} in {axis}", total=1.0) as bar:
        outcome = coordinate_check(
            study.family,
            rule=chosen,
            optimizer=study.spec.optimizer,
            base=study.base,
            widths=() if depth else _widths(study),
            depths=depths if depth else (),
            batch=lambda seed: study.torch_batch(seed, _SEQUENCES),
            lr=middle_rate(study),
            seeds=_SEEDS,
            steps=_STEPS,
            on_progress=lambda done, every: bar.update(done / every),
        )
    value = {**about(chosen), **outcome.to_json()}
    study.write(step, value)
    return value


def diagnose(study: Study, rule: str | None, progress: StudyProgress) -> dict[str, Any]:
    """Measure in width what a rule's rates take for granted, or read what was found before.

    That is alignment: the power of fan-in by which a layer's updates add up on its inputs.

    Args:
        study: An open study.
        rule: A rule's name or its file; None is the study's own.
        progress: Where the bar is shown.

    Returns:
        `rule`; `alignment`, one `AlignmentDrift` a kind of layer; and `sentences`, what is off
        and what to do, empty where nothing is.
    """
    chosen = study.rule_named(rule)
    step = f"diagnose-{chosen.name}"
    found = read_for(study, step, chosen)
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
            chosen,
            study.spec.optimizer,
        )
        for width in _widths(study)
    }
    measured = {}
    runs = [(width, seed) for seed in _SEEDS for width in plans]
    with progress.step(f"Measuring alignment under {chosen.name}", total=1.0) as bar:
        for done, (width, seed) in enumerate(runs, start=1):
            measured[width, seed] = measure_alignment(
                study.family,
                plans[width],
                batch=study.torch_batch(seed, _SEQUENCES),
                lr=middle_rate(study),
                seed=seed,
                steps=_STEPS,
            )
            bar.update(done / len(runs))
    drifts = alignment_drifts(plans, measured)
    value = {
        **about(chosen),
        "alignment": [drift.to_json() for drift in drifts],
        "sentences": [drift.sentence for drift in drifts if drift.sentence is not None],
    }
    study.write(step, value)
    return value


def about(rule: Rule) -> dict[str, Any]:
    """The rule as an outcome names it, with what its file says where it is the user's own."""
    own = {} if rule.content is None else {"rule_content": rule.content}
    return {"rule": rule.name, **own}


def read_for(study: Study, step: str, rule: Rule) -> dict[str, Any] | None:
    """What was found before; None if that was for a file that has changed."""
    found = study.read(step)
    same = found is not None and found.get("rule_content") == rule.content
    return found if same else None


def _widths(study: Study) -> list[int]:
    return sorted({*study.spec.ladder.width, study.target.width})


def middle_rate(study: Study) -> float:
    """Half the middle of the spec's bracket of rates; see `check`."""
    bracket = study.spec.search.hyperparameters["lr"]
    return float((bracket.low * bracket.high) ** 0.5 / 2)
