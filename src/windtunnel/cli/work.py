"""Work on a study from another machine."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer


def work(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The database, as `--store` has it elsewhere.")
    ],
    study: Annotated[
        str | None, typer.Option(help="The study's name there, if there are several.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where studies are kept here.")] = Path(),
    data: Annotated[
        str | None, typer.Option(help="Where the study's data is on this machine.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    idle: Annotated[
        float,
        typer.Option(metavar="MINUTES", min=0, help="Leave if no run comes for so long."),
    ] = 10.0,
) -> None:
    """Carry out runs of a study that another machine began; stop it at any moment."""
    from windtunnel.search.study_store import STORE_VARIABLE
    from windtunnel.studies.work import joined_study
    from windtunnel.studies.work import work as work_on

    os.environ[STORE_VARIABLE] = url
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    joined = joined_study(folder, study, data)
    print(f"Working on {joined.folder.name} in {joined.folder}; Ctrl-C gives running runs back.")
    done = work_on(
        joined,
        workers=workers,
        idle_seconds=60 * idle,
        should_stop=stop.is_set,
        say=lambda line: print(line, flush=True),
    )
    print(
        f"{done} runs have a result."
        if not stop.is_set()
        else "Stopped; running runs were given back."
    )
