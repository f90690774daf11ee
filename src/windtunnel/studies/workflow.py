"""The whole study, step by step; each goes on where it was and repeats nothing."""

from __future__ import annotations

from typing import Any

from windtunnel.report.progress import StudyProgress
from windtunnel.studies.check import check
from windtunnel.studies.fit import fit
from windtunnel.studies.forecast import forecast
from windtunnel.studies.report import write_study_report
from windtunnel.studies.study import Study
from windtunnel.studies.summary import summarise
from windtunnel.studies.target import train_target
from windtunnel.studies.transfer import transfer
from windtunnel.studies.tune import STANDARD, tune


def run_study(study: Study, progress: StudyProgress) -> dict[str, Any]:
    """Check, tune, transfer, fit, forecast, train the target, verify, report.

    Returns:
        The summary, also written to `summary.json`.
    """
    if study.read("target") is None:
        study.begin()
        try:
            for rule in dict.fromkeys((study.spec.rule, STANDARD)):
                check(study, rule, progress)
            tune(study, progress)
            transfer(study)
            fit(study, progress)
            forecast(study)
            train_target(study, progress)
        finally:
            study.write("clock", {"wall_seconds": study.seconds_spent})
    write_study_report(study)
    return summarise(study)
