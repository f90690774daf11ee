"""Work on a study that another machine began, in a folder that may be empty."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import yaml

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically, write_json
from windtunnel.scale import Run
from windtunnel.search.executors.supervisor import (
    COMMAND_GRACE_SECONDS,
    GRACE_SECONDS,
    Supervisor,
)
from windtunnel.search.shared_studies import SharedStudy, shared_studies
from windtunnel.search.store import Store
from windtunnel.search.study_store import SHARED_NAME, shared_url, study_store
from windtunnel.studies.execute import trainer_of
from windtunnel.studies.study import STUDY_FILE, Study, open_study

_LOOK_SECONDS = 0.2


def joined_study(folder: Path, name: str | None, data: str | None) -> Study:
    """The folder of a shared study on this machine, made or found under `folder`.

    Args:
        folder: Where studies are kept here.
        name: The study's name in the database; None if there is only one.
        data: Where its data is on this machine, if not where the study file says.

    Raises:
        WindtunnelError: There is no such study, or several; the data here isn't the study's; or a
            command's script isn't.
    """
    shared = _chosen(folder, name)
    place = folder / shared.name
    text = shared.spec
    if data is not None:
        value = yaml.safe_load(text)
        value["data"] = {**value.get("data", {}), "source": data}
        text = yaml.safe_dump(value, sort_keys=False)
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / SHARED_NAME, {"study": shared.name})
    write_atomically(place / STUDY_FILE, text)
    study = open_study(place)
    if study.data_hash != shared.data_hash:
        raise WindtunnelError(
            f"work: the data here ({study.data_words}) isn't what {shared.name} was begun on; give "
            "the right data's place with --data"
        )
    _require_script(study)
    return study


def work(
    study: Study,
    *,
    workers: int | None,
    idle_seconds: float,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> int:
    """Carry runs out as they come, until nothing has come for a while.

    Asked to stop, running runs are checkpointed and given back at once; one whose checkpoint is on
    this machine begins anew on another.

    Args:
        study: From `joined_study`.
        workers: Worker processes; None: as the study says.
        idle_seconds: How long to wait for another run.
        should_stop: Asked several times a second.
        say: Told what happens.

    Returns:
        How many runs have a result when it ends, whoever carried them out.
    """
    store = study_store(study.folder)
    trainer, devices, lease_seconds = trainer_of(study.spec, alone=False)
    if workers is not None:
        devices = [devices[place % len(devices)] for place in range(workers)]
    done, busy_at = -1, time.monotonic()
    try:
        with Supervisor(
            study.folder,
            store,
            devices,
            trainer=trainer,
            lease_seconds=lease_seconds,
            limits=study.spec.limits if study.spec.run is None else None,
            grace=GRACE_SECONDS if study.spec.run is None else COMMAND_GRACE_SECONDS,
        ) as supervisor:
            while not should_stop() and time.monotonic() - busy_at < idle_seconds:
                for line in supervisor.check():
                    say(line)
                rows = store.list()
                now = sum(row.done for row in rows)
                if now != done:
                    done = now
                    say(f"{done} of {len(rows)} runs have a result")
                if any(not row.done for row in rows):
                    busy_at = time.monotonic()
                time.sleep(_LOOK_SECONDS)
        return done
    finally:
        store.close()


def _chosen(folder: Path, name: str | None) -> SharedStudy:
    url = shared_url()
    if url is None:
        raise WindtunnelError("work: give the URL of a shared database")
    database: Store[Run] = Store(url, "", Run.from_json)
    try:
        every = shared_studies(database)
    finally:
        database.close()
    names = ", ".join(study.name for study in every) or "none"
    chosen = [study for study in every if name in (None, study.name)]
    if len(chosen) != 1:
        what = "has no study" if not chosen else "has several studies"
        which = "" if name is None else f" called {name}"
        raise WindtunnelError(
            f"work: the database {what}{which}; there are {names}. Name one with --study; "
            "`windtunnel run STUDY --store URL` puts one there"
        )
    return chosen[0]


def _require_script(study: Study) -> None:
    """Refuse another script than the one whose runs are in the database."""
    if study.spec.run is None:
        return
    store = study_store(study.folder)
    try:
        rows = store.list()
    finally:
        store.close()
    own = study.family.options()["files"]
    if rows and dict(rows[0].run.family_options).get("files") != own:
        raise WindtunnelError(
            f"work: the files that the command names aren't the study's in {study.folder}; copy "
            f"them there ({study.spec.run.command})"
        )
