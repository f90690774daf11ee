"""The whole study, step by step; each goes on where it was and repeats nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from windtunnel.report.progress import StudyProgress
from windtunnel.spec import BRACKETS
from windtunnel.studies.check import check
from windtunnel.studies.fit import fit
from windtunnel.studies.forecast import forecast
from windtunnel.studies.policies import study_policy
from windtunnel.studies.report import write_study_report
from windtunnel.studies.study import Study
from windtunnel.studies.summary import summarise
from windtunnel.studies.target import train_target
from windtunnel.studies.transfer import transfer
from windtunnel.studies.tune import tune


def run_study(study: Study, progress: StudyProgress) -> dict[str, Any]:
    """Check, tune, transfer, fit, forecast, train the target, verify, report.

    Returns:
        The summary, also written to `summary.json`.
    """
    checked = () if study.spec.run is not None else study.rules  # a command's model is its own
    steps: list[Callable[[], object]] = [
        *(partial(check, study, rule, progress) for rule in checked),
        partial(tune, study, progress),
        partial(transfer, study),
        partial(fit, study, progress),
        partial(forecast, study),
        partial(train_target, study, progress),
    ]
    if study.read("target") is None:
        study.begin()
        if study.spec.search.policy.name != BRACKETS:
            study_policy(study)  # refuses what the search could not do, before the check trains
        before = study.seconds_before
        for step in steps:
            try:
                step()
            finally:  # after every step, so that a kill loses little of the count
                study.write("clock", {"wall_seconds": before + study.seconds_open})
    write_study_report(study)
    return summarise(study)
