"""What a shared database says of its studies, so that another machine can work on them."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Run
from windtunnel.search import schema
from windtunnel.search.store import Store

_studies = schema.studies


@dataclass(frozen=True, slots=True)
class SharedStudy:
    """A study in a shared database.

    Attributes:
        name: Its name there.
        spec: Text of its `study.yaml`.
        data_hash: What its data's content is known by; empty where nothing is known.
    """

    name: str
    spec: str
    data_hash: str


def share_study(store: Store[Run], study: SharedStudy) -> None:
    """Write a study down, once; its text may change, its data may not.

    Raises:
        WindtunnelError: The database holds a study of this name on other data.
    """
    with store.writing() as connection:
        where = _studies.c.name == study.name
        found = connection.execute(sa.select(_studies).where(where)).first()
        if found is None:
            connection.execute(
                sa.insert(_studies).values(
                    name=study.name, spec=study.spec, data_hash=study.data_hash
                )
            )
        elif found.data_hash != study.data_hash:
            raise WindtunnelError(
                f"store: the study {study.name} there was begun on other data; start a study in a "
                "new folder"
            )
        else:
            connection.execute(sa.update(_studies).where(where).values(spec=study.spec))


def shared_studies(store: Store[Run]) -> list[SharedStudy]:
    """Every study of the database, by name."""
    with store.reading() as connection:
        found = connection.execute(sa.select(_studies).order_by(_studies.c.name)).all()
    return [SharedStudy(row.name, row.spec, row.data_hash) for row in found]
