"""Opening a database so that many processes may use it at once; all that is special to each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from windtunnel.search.network_folder import refuse_network_folder

_BUSY_SECONDS = 30.0
_LOCK = 20_575_493  # of Windtunnel's writers among all who lock something in a PostgreSQL database
_GONE = (
    *("refused", "starting up", "shutting down", "terminating connection", "server closed"),
    *("connection is lost", "connection is closed", "could not connect", "in recovery mode"),
    "accepting connections",
)


def open_engine(url: str) -> sa.Engine:
    """An engine for `url`; on SQLite with a write-ahead log and explicit transactions.

    On both databases transactions that write take turns: what one of them reads no other changes
    before it has written.
    """
    address = sa.make_url(url)
    if address.get_backend_name() != "sqlite":
        return _open_server(url)
    if address.database and address.database != ":memory:":
        refuse_network_folder(Path(address.database))
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        # sqlite3 would open transactions by itself, and late: we do it, in `_begin`.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later can fail half-way on SQLite when
        # another one wrote in between; IMMEDIATE takes the write lock, and its turn, first.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _open_server(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=True)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        if writes and engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    return engine


@contextmanager
def write(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that will write: committed at the end, rolled back on an exception."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


def is_away(error: DBAPIError) -> bool:
    """Whether a server is being restarted or can't be reached: waiting may help."""
    text = str(error.orig).lower()
    return error.connection_invalidated or any(words in text for words in _GONE)


def says(error: DBAPIError) -> str:
    """What a database error means to a person, and what to do."""
    text = " ".join(str(error.orig).split())
    if "disk is full" in text:
        return (
            "no space left on the disk. Nothing was lost: free some space and run the same "
            "command again."
        )
    if "malformed" in text or "not a database" in text:
        return (
            "the file is damaged or no database. Move it away and run the same command again: "
            "finished runs are found again by their result files."
        )
    if "locked" in text:
        return (
            f"another process has kept it locked for {_BUSY_SECONDS:.0f} seconds; stop that "
            "process and run the same command again."
        )
    if "unable to open" in text:
        return "cannot be opened; does its folder exist, and may you write there?"
    if "readonly" in text:
        return "cannot be written (read-only)."
    return text
