"""The command line: parse, call one function, print. Imports wait until a command needs them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windtunnel.report.content import Sentence
    from windtunnel.report.progress import StudyProgress
    from windtunnel.studies.study import Study

GOOD, BAD_INPUT, NEGATIVE, CANNOT_SAY, INTERRUPTED = 0, 2, 3, 4, 130
_EXIT_CODES = {"fail": NEGATIVE, "drifts": NEGATIVE, "missed": NEGATIVE, "cannot say": CANNOT_SAY}

app = typer.Typer(
    name="windtunnel",
    help="Tune small, train large, and be told when you can't.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
TimeLimit = Annotated[
    str | None, typer.Option("--time", help="Stop deciding on new runs after this: 90s, 10m, 2h.")
]


@app.command()
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
    _whole_study(start(folder, minutes=minutes, seed=seed), as_json)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")],
    as_json: AsJson = False,
) -> None:
    """Write a commented study.yaml to start from."""
    from windtunnel.studies.template import initialise

    path = initialise(folder)
    _print(
        {"study": str(path)},
        f"Wrote {path}. Edit it, then: windtunnel run {folder}",
        as_json,
    )


@app.command()
def run(study: StudyPath, time: TimeLimit = None, as_json: AsJson = False) -> None:
    """Run every step of a study: check, tune, transfer, fit, forecast, train, report."""
    _whole_study(_open(study, time), as_json)


@app.command()
def explain(
    study: StudyPath,
    scale: Annotated[
        str | None, typer.Option(help="Such as width=256,depth=4; the target by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how every parameter is set at a scale, before anything trains."""
    from windtunnel.report.terminal import print_plan
    from windtunnel.studies.explain import explain as explain_plan

    plan = explain_plan(_open(study), scale, every_block=as_json)
    if as_json:
        _print(plan, "", as_json)
    else:
        print_plan(plan)


@app.command()
def check(
    study: StudyPath,
    rule: Annotated[
        str | None, typer.Option(help="sp, mup or completep; the study's own by default.")
    ] = None,
    depth: Annotated[bool, typer.Option(help="Check in depth instead of width.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do activations and updates keep their size as the model grows?"""
    from windtunnel.studies.check import check as run_check
    from windtunnel.studies.words import check_sentence

    opened = _open(study)
    with _progress(as_json) as progress:
        outcome = run_check(opened, rule, progress, depth=depth)
    _say(outcome, [check_sentence(outcome)], as_json)
    raise typer.Exit(_EXIT_CODES.get(outcome["verdict"], GOOD))


@app.command()
def tune(study: StudyPath, time: TimeLimit = None, as_json: AsJson = False) -> None:
    """Search the hyperparameters on the ladder of small scales, cheapest first."""
    from windtunnel.studies.tune import tune as run_tune
    from windtunnel.studies.words import tune_sentences

    opened = _open(study, time)
    with _progress(as_json) as progress:
        outcome = run_tune(opened, progress)
    _say(outcome, tune_sentences(outcome, opened), as_json)


@app.command()
def transfer(study: StudyPath, as_json: AsJson = False) -> None:
    """Does the optimum stay put along each axis? How far does it drift?"""
    from windtunnel.studies.transfer import transfer as run_transfer
    from windtunnel.studies.words import transfer_sentences

    outcome = run_transfer(_open(study, trains=False))
    _say(outcome, transfer_sentences(outcome), as_json)
    raise typer.Exit(_EXIT_CODES.get(outcome["verdict"], GOOD))


@app.command()
def fit(study: StudyPath, time: TimeLimit = None, as_json: AsJson = False) -> None:
    """Train the ladder's lengths between the tuned ones, so that a law can be fitted."""
    from windtunnel.studies.fit import fit as run_fit
    from windtunnel.studies.words import fit_sentences

    opened = _open(study, time)
    with _progress(as_json) as progress:
        outcome = run_fit(opened, progress)
    _say(outcome, fit_sentences(outcome), as_json)


@app.command()
def forecast(study: StudyPath, as_json: AsJson = False) -> None:
    """Say the target's hyperparameters and loss before it is trained."""
    from windtunnel.studies.forecast import forecast as run_forecast
    from windtunnel.studies.words import forecast_sentences

    opened = _open(study)
    outcome = run_forecast(opened)
    _say(outcome, forecast_sentences(outcome, opened), as_json)
    raise typer.Exit(_EXIT_CODES.get(outcome["verdict"], GOOD))


@app.command()
def train(study: StudyPath, as_json: AsJson = False) -> None:
    """Train the target once, and hold the forecast against what happened."""
    from windtunnel.studies.target import train_target
    from windtunnel.studies.words import target_sentence

    opened = _open(study)
    with _progress(as_json) as progress:
        outcome = train_target(opened, progress)
    _say(outcome, [target_sentence(outcome, opened)], as_json)
    raise typer.Exit(NEGATIVE if outcome["inside"] is False else GOOD)


@app.command()
def report(study: StudyPath, as_json: AsJson = False) -> None:
    """Write report.html, figures and summary.json from what the study has so far."""
    from windtunnel.studies.report import write_study_report

    path = write_study_report(_open(study))
    _print({"report": str(path)}, f"Wrote {path}", as_json)


def _whole_study(study: Study, as_json: bool) -> None:
    from windtunnel.report.terminal import print_sentences
    from windtunnel.studies.report import study_content
    from windtunnel.studies.workflow import run_study

    done_before = study.read("target") is not None
    with _progress(as_json) as progress:
        summary = run_study(study, progress)
    if as_json:
        print(json.dumps(summary, indent=2, allow_nan=False))
    else:
        if done_before:
            print(f"All is done in {study.folder}; nothing was trained again.")
        print_sentences(study_content(study))
        print(f"Report: {study.folder / 'report.html'}")
    missed = summary["target"]["inside"] is False
    verdict = "missed" if missed else summary["forecast"]["verdict"]
    raise typer.Exit(_EXIT_CODES.get(verdict, GOOD))


def _open(path: Path, time: str | None = None, *, trains: bool = True) -> Study:
    from windtunnel.studies.study import open_study
    from windtunnel.torch_version import require_torch

    opened = open_study(path, time_limit=time)
    if trains:
        require_torch()  # said at once, not by the first step that builds a model
    return opened


def _progress(quiet: bool) -> StudyProgress:
    from windtunnel.report.progress import StudyProgress

    return StudyProgress(quiet=quiet)


def _say(value: dict[str, Any], sentences: Iterable[Sentence], as_json: bool) -> None:
    _print(value, "\n".join(sentence.text for sentence in sentences), as_json)


def _print(value: dict[str, Any], words: str, as_json: bool) -> None:
    print(json.dumps(value, indent=2, allow_nan=False) if as_json else words)


def main() -> None:
    """Run the command line; every mistake of the user's ends in one line and exit code 2."""
    # Workers do the work; a second thread here would only take their cores from them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = app(standalone_mode=False)
    except WindtunnelError as error:
        print(f"windtunnel: {error}", file=sys.stderr)
        code = error.exit_code
    except TyperException as error:
        if error.format_message():  # empty when the help text was the answer
            print(f"windtunnel: {error.format_message()}", file=sys.stderr)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # which is also what typer itself makes of Ctrl-C
        print(
            "\nStopped. Nothing finished is lost: the same command goes on where this one stopped.",
            file=sys.stderr,
        )
    sys.stdout.flush()
    # Leaving at once keeps Ctrl-C under two seconds: torch's own teardown can take longer.
    os._exit(code if isinstance(code, int) else GOOD)
