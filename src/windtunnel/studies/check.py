"""The coordinate check of a study's family, under its own rule or another."""

from __future__ import annotations

from typing import Any

from windtunnel.parametrization.rule import load_rule
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.study import Study

_SEQUENCES = 16


def check(study: Study, rule: str | None, progress: StudyProgress) -> dict[str, Any]:
    """Check one rule over the ladder's widths, or read what was found before.

    The widths are the ladder's, and the rate is the middle of the spec's bracket: the verdict is
    about growth with size, which every rate of the right order shows.

    Returns:
        `windtunnel.parametrization.check.CoordinateCheck` as JSON values, with the rule.
    """
    rule = rule or study.spec.rule
    load_rule(rule)
    found = study.read(f"check-{rule}")
    if found is not None:
        return found
    from windtunnel.parametrization.check import check as coordinate_check

    study.begin()
    bracket = study.spec.search.hyperparameters["lr"]
    with progress.step(f"Checking {rule} in width", total=1.0) as bar:
        outcome = coordinate_check(
            study.family,
            rule=rule,
            optimizer=study.spec.optimizer,
            base=study.base,
            widths=study.spec.ladder.width,
            batch=lambda seed: study.torch_batch(seed, _SEQUENCES),
            lr=(bracket.low * bracket.high) ** 0.5,
            on_progress=lambda done, every: bar.update(done / every),
        )
    value = {"rule": rule, **outcome.to_json()}
    study.write(f"check-{rule}", value)
    return value
