"""Commands that begin a study or carry a whole one out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    show,
)

if TYPE_CHECKING:
    from windtunnel.studies.study import Study


def quickstart(
    folder: Annotated[Path, typer.Option(help="Where the study is kept.")] = Path(
        "windtunnel-quickstart"
    ),
    minutes: Annotated[float, typer.Option(min=2, help="Time to fill, at most.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every run.")] = 0,
    as_json: AsJson = False,
) -> None:
    """See a whole study on this machine: no file, no network, no account."""
    from windtunnel.studies.quickstart import quickstart as start
    from windtunnel.torch_version import require_torch

    require_torch()
    _carry_out(start(folder, minutes=minutes, seed=seed), as_json)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")],
    as_json: AsJson = False,
) -> None:
    """Write a commented study.yaml to start from."""
    from windtunnel.studies.template import initialise

    path = initialise(folder)
    show(
        {"study": str(path)},
        f"Wrote {path}. Edit it, then: windtunnel run {folder}",
        as_json,
    )


def run(
    study: StudyPath,
    policy: PolicyName = None,
    time: TimeLimit = None,
    budget: FlopsLimit = None,
    workers: Workers = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Run every step of a study: check, tune, transfer, fit, forecast, train, report."""
    opened = open_study(study, time, store=store, flops=budget, workers=workers, policy=policy)
    _carry_out(opened, as_json)


def _carry_out(study: Study, as_json: bool) -> None:
    from windtunnel.report.terminal import print_sentences
    from windtunnel.studies.report import study_content
    from windtunnel.studies.workflow import run_study

    done_before = study.read("target") is not None
    with progress_bar(as_json) as progress:
        summary = run_study(study, progress)
    if as_json:
        print(json.dumps(summary, indent=2, allow_nan=False))
    else:
        if done_before:
            print(f"All is done in {study.folder}; nothing was trained again.")
        print_sentences(study_content(study))
        print(f"Report: {study.folder / 'report.html'}")
    missed = summary["target"]["inside"] is False
    end_with("missed" if missed else summary["forecast"]["verdict"])
