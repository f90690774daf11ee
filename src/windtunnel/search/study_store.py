"""The store in a study's own folder."""

from __future__ import annotations

from pathlib import Path

from windtunnel.scale import Run
from windtunnel.search.store import Store, study_database

# A folder holds one study, whatever it is called at the moment.
_ONLY_STUDY = "study"


def study_store(folder: Path) -> Store[Run]:
    """Open, or make, the store of the study in `folder`."""
    return Store(study_database(folder), _ONLY_STUDY, Run.from_json)
