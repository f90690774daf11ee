"""The steps of a study, each as a command of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from windtunnel.cli.output import (
    AsJson,
    FlopsLimit,
    PolicyName,
    StoreUrl,
    StudyPath,
    TimeLimit,
    Workers,
    end_with,
    open_study,
    progress_bar,
    say,
    show,
)

Target = Annotated[
    bool,
    typer.Option("--target", help="The target; nothing else is trained, so it may be left out."),
]


def tune(
    study: StudyPath,
    policy: PolicyName = None,
    time: TimeLimit = None,
    budget: FlopsLimit = None,
    workers: Workers = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Search the hyperparameters on the ladder of small scales, cheapest first."""
    from windtunnel.studies.tune import tune as run_tune
    from windtunnel.studies.words import tune_sentences

    opened = open_study(study, time, store=store, flops=budget, workers=workers, policy=policy)
    with progress_bar(as_json) as progress:
        outcome = run_tune(opened, progress)
    say(outcome, tune_sentences(outcome, opened), as_json)


def fit(
    study: StudyPath, time: TimeLimit = None, store: StoreUrl = None, as_json: AsJson = False
) -> None:
    """Train the ladder's lengths between the tuned ones, so that a law can be fitted."""
    from windtunnel.studies.fit import fit as run_fit
    from windtunnel.studies.words import fit_sentences

    opened = open_study(study, time, store=store)
    with progress_bar(as_json) as progress:
        outcome = run_fit(opened, progress)
    say(outcome, fit_sentences(outcome), as_json)


def forecast(study: StudyPath, as_json: AsJson = False) -> None:
    """Say the target's hyperparameters and loss before it is trained."""
    from windtunnel.studies.forecast import forecast as run_forecast
    from windtunnel.studies.words import forecast_sentences

    opened = open_study(study)
    outcome = run_forecast(opened)
    say(outcome, forecast_sentences(outcome, opened), as_json)
    end_with(outcome["verdict"])


def train(
    study: StudyPath, target: Target = True, store: StoreUrl = None, as_json: AsJson = False
) -> None:
    """Train the target once, and hold the forecast against what happened.

    On several GPUs or machines: torchrun --nproc-per-node 8 -m windtunnel.train STUDY
    """
    from windtunnel.studies.target import train_target
    from windtunnel.studies.words import target_sentence

    opened = open_study(study, store=store)
    with progress_bar(as_json) as progress:
        outcome = train_target(opened, progress)
    say(outcome, [target_sentence(outcome, opened)], as_json)
    end_with("missed" if outcome["inside"] is False else "inside")


def report(study: StudyPath, as_json: AsJson = False) -> None:
    """Write report.html, figures and summary.json from what the study has so far."""
    from windtunnel.studies.report import write_study_report

    path = write_study_report(open_study(study))
    show({"report": str(path)}, f"Wrote {path}", as_json)
