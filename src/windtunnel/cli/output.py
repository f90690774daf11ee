"""What every command shares: its usual arguments, how it opens a study, prints and ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from windtunnel.report.content import Sentence
    from windtunnel.report.progress import StudyProgress
    from windtunnel.studies.study import Study

GOOD, NEGATIVE, CANNOT_SAY, INTERRUPTED = 0, 3, 4, 130
_EXIT_CODES = {
    **dict.fromkeys(("fail", "drifts", "missed", "too late", "none better"), NEGATIVE),
    "cannot say": CANNOT_SAY,
}

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
TimeLimit = Annotated[
    str | None, typer.Option("--time", help="Stop deciding on new runs after this: 90s, 10m, 2h.")
]
FlopsLimit = Annotated[
    float | None,
    typer.Option("--budget", metavar="FLOPS", help="Stop deciding on new runs after this: 1e15."),
]
PolicyName = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="Who decides what is tried next: brackets, ladder, asha, ... (docs/search.md).",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Runs at a time, in processes of their own.")
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="A database that machines share, such as postgresql+psycopg://user@host/name; also "
        "$WINDTUNNEL_STORE. `windtunnel work URL` joins from another machine.",
    ),
]


def open_study(
    path: Path,
    time: str | None = None,
    *,
    trains: bool = True,
    store: str | None = None,
    flops: float | None = None,
    workers: int | None = None,
    policy: str | None = None,
) -> Study:
    """Open a study; say at once if there is no torch, not in the first step that builds a model."""
    if store is not None:
        from windtunnel.search.study_store import STORE_VARIABLE

        os.environ[STORE_VARIABLE] = store
    from windtunnel.studies.study import open_study as open_folder
    from windtunnel.torch_version import require_torch

    opened = open_folder(path, time_limit=time, flops_limit=flops, workers=workers, policy=policy)
    if trains and opened.spec.run is None:
        require_torch()
    return opened


def progress_bar(quiet: bool) -> StudyProgress:
    """The live progress bar."""
    from windtunnel.report.progress import StudyProgress

    return StudyProgress(quiet=quiet)


def say(value: dict[str, Any], sentences: Iterable[Sentence], as_json: bool) -> None:
    """Print a step's outcome, as JSON or in words."""
    show(value, "\n".join(sentence.text for sentence in sentences), as_json)


def show(value: dict[str, Any], words: str, as_json: bool) -> None:
    """Print a value as JSON, or words in its place."""
    print(json.dumps(value, indent=2, allow_nan=False) if as_json else words)


def end_with(verdict: str) -> None:
    """Leave with the exit code that a verdict has."""
    raise typer.Exit(_EXIT_CODES.get(verdict, GOOD))
