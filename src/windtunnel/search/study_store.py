"""The store of a study: in its own folder, or shared by machines at a database's URL."""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json
from windtunnel.scale import Run
from windtunnel.search.store import Store, study_database

# The URL of a database that machines share. Only the environment has it: a URL may hold a password,
# and nothing of a study's folder does.
STORE_VARIABLE = "WINDTUNNEL_STORE"
SHARED_NAME = "shared.json"
# A folder holds one study, whatever it is called at the moment.
_ONLY_STUDY = "study"


def shared_url() -> str | None:
    """The URL of the shared database; None where every study keeps its own."""
    return os.environ.get(STORE_VARIABLE) or None


def study_store(folder: Path) -> Store[Run]:
    """Open, or make, the store of the study in `folder`.

    Raises:
        WindtunnelError: Its runs are in a shared database, and nobody said where that is.
    """
    url = shared_url()
    if url is None and (folder / SHARED_NAME).exists():
        raise WindtunnelError(
            f"{folder}: this study's runs are in a shared database; set {STORE_VARIABLE} to its URL"
        )
    if url is None:
        return Store(study_database(folder), _ONLY_STUDY, Run.from_json)
    return Store(url, shared_name(folder), Run.from_json)


def has_store(folder: Path) -> bool:
    """Whether there may be runs of the study in `folder`; asking makes no database."""
    return shared_url() is not None or any(
        (folder / name).exists() for name in ("study.db", SHARED_NAME)
    )


def shared_name(folder: Path) -> str:
    """What the study in `folder` is called in a shared database: no other folder's is called so.

    Raises:
        WindtunnelError: The file that keeps the name is damaged.
    """
    path = folder / SHARED_NAME
    if not path.exists():
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name) or "study"
        write_json(path, {"study": f"{plain}-{secrets.token_hex(4)}"})
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["study"])
    except (ValueError, TypeError, KeyError) as error:
        raise WindtunnelError(
            f"{path}: damaged; it keeps the study's name in the shared database. Write "
            '{"study": "NAME"} with the name that `windtunnel work` lists.'
        ) from error
