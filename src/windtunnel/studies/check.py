"""The coordinate check of a study's family, under its own rule or another."""

from __future__ import annotations

from typing import Any

from windtunnel.parametrization.rule import load_rule
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.study import Study

_SEQUENCES = 16
_SEEDS = range(4)
_DOUBLINGS = 2  # of the depth


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
    bracket = study.spec.search.hyperparameters["lr"]
    widths = sorted({*study.spec.ladder.width, study.target.width})
    depths = [study.base.depth * 2**k for k in range(_DOUBLINGS + 1)]
    with progress.step(f"Checking {rule} in {axis}", total=1.0) as bar:
        outcome = coordinate_check(
            study.family,
            rule=rule,
            optimizer=study.spec.optimizer,
            base=study.base,
            widths=() if depth else widths,
            depths=depths if depth else (),
            batch=lambda seed: study.torch_batch(seed, _SEQUENCES),
            lr=(bracket.low * bracket.high) ** 0.5 / 2,
            seeds=_SEEDS,
            on_progress=lambda done, every: bar.update(done / every),
        )
    value = {"rule": rule, **outcome.to_json()}
    study.write(step, value)
    return value
