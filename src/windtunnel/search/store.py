"""Every run of a study in one small database, safe against crashes and against each other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from windtunnel.errors import WindtunnelError
from windtunnel.search import schema
from windtunnel.search.database import is_away, open_engine, says, write
from windtunnel.search.patience import DatabaseAwayError, patiently
from windtunnel.search.table import Row
from windtunnel.search.trial import P

LEASE_SECONDS = 30.0
ATTEMPTS = 3
_runs = schema.runs


class LeaseLost(Exception):  # noqa: N818  (an event, not an error of anyone's)
    """The run was given to another worker meanwhile: whoever sees this must write nothing."""


@dataclass(frozen=True, slots=True)
class Claim(Generic[P]):
    """The right to carry out one run until its lease ends.

    Attributes:
        number: The decision's number.
        run: What to train.
        worker: Who holds the claim.
        fence: Grows with every claim of this run, so an old holder is recognised.
        lease_seconds: How long the claim lasts without progress.
    """

    number: int
    run: P
    worker: str
    fence: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running run is: its last step of how many, the loss there, and who trains it."""

    number: int
    step: int
    steps: int
    loss: float | None
    worker: str


def study_database(folder: Path) -> str:
    """The URL of the database in a study's folder."""
    return f"sqlite:///{folder / 'study.db'}"


class Store(Generic[P]):
    """The runs of one study.

    Args:
        url: SQLAlchemy URL; SQLite and PostgreSQL.
        study: Name of the study; one database may hold several.
        parse: Makes a run again of the JSON values that its `to_json` gave.
        clock: Seconds since the epoch; leases are counted by it.

    Raises:
        WindtunnelError: From here and from every method, when the database can't be used.
    """

    def __init__(
        self,
        url: str,
        study: str,
        parse: Callable[[Any], P],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._study = study
        self._clock = clock
        self._parse = parse
        self._parsed: dict[int, tuple[str, P]] = {}
        try:
            self._engine = open_engine(url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise WindtunnelError(
                f"store {_without_password(url)}: not a usable database URL ({error})."
            ) from error
        self._make_tables()

    @patiently
    def _make_tables(self) -> None:
        with self.writing() as connection:
            schema.metadata.create_all(connection)

    @property
    def study(self) -> str:
        """Name of the study."""
        return self._study

    def now(self) -> float:
        """Seconds since the epoch, by the clock that leases are counted by."""
        return self._clock()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @patiently
    def create(self, number: int, run: P, purpose: str) -> bool:
        """Add a waiting run as decision `number`.

        Returns:
            True when it was added, False when this very run was there already.

        Raises:
            WindtunnelError: The number is taken by another run.
        """
        return self._insert(number, run, purpose, state="waiting")

    @patiently
    def record(self, number: int, run: P, purpose: str, result: Mapping[str, Any]) -> bool:
        """Add a run that was finished elsewhere, with its result, as decision `number`.

        Args:
            number: As for `create`.
            run: As for `create`.
            purpose: As for `create`.
            result: As for `finish`.

        Returns:
            True when it was added, False when this very run was there already.

        Raises:
            WindtunnelError: The number is taken by another run.
        """
        return self._insert(
            number,
            run,
            purpose,
            state=result["status"],
            loss=result.get("loss"),
            loss_se=result.get("loss_se"),
            result=json.dumps(dict(result), allow_nan=False),
        )

    @patiently
    def claim(self, worker: str, lease_seconds: float = LEASE_SECONDS) -> Claim[P] | None:
        """Take the lowest-numbered run that waits or whose lease has ended.

        A run whose twin (same key, other number) is being trained is left alone, so that two
        workers never write to one run folder.

        Returns:
            The claim, or None when there is nothing to do.
        """
        now = self._clock()
        free = sa.or_(
            _runs.c.state == "waiting",
            sa.and_(_runs.c.state == "running", _runs.c.lease_until < now),
        )
        candidate = (
            sa.select(_runs.c.number, _runs.c.fence, _runs.c.run)
            .where(_runs.c.study == self._study, free, self.no_live_twin(now))
            .order_by(_runs.c.number)
            .limit(1)
        )
        with self.reading() as connection:
            if connection.execute(candidate).first() is None:
                return None  # asked far more often than anything waits: don't take the write lock
        while True:
            with self.writing() as connection:
                found = connection.execute(candidate).first()
                if found is None:
                    return None
                claim = Claim(
                    found.number,
                    self.run(found.number, found.run),
                    worker,
                    found.fence + 1,
                    lease_seconds,
                )
                if self.take(connection, claim, free, now):
                    return claim

    @patiently
    def report(self, claim: Claim[P], step: int, steps: int, loss: float | None) -> None:
        """Say how far the run is; the lease is extended only if `step` has grown.

        Raises:
            LeaseLost: The claim is no longer the newest; stop and write nothing.
        """
        grown = _runs.c.step < step
        until = self._clock() + claim.lease_seconds
        self._change(
            claim,
            lease_until=sa.case((grown, until), else_=_runs.c.lease_until),
            step=sa.case((grown, step), else_=_runs.c.step),
            steps=steps,
            progress_loss=loss,
        )

    @patiently
    def renew(self, claim: Claim[P]) -> None:
        """Extend a lease that ended during one long step, if nobody took the run meanwhile.

        Raises:
            LeaseLost: Somebody did.
        """
        self._change(claim, lease_until=self._clock() + claim.lease_seconds)

    @patiently
    def finish(self, claim: Claim[P], result: Mapping[str, Any]) -> None:
        """Record the result; doing so twice changes nothing.

        Args:
            claim: The newest claim of the run.
            result: JSON values with at least `status` (`finished` or `diverged`), `loss` and
                `loss_se`.

        Raises:
            LeaseLost: The claim is no longer the newest.
        """
        with self.writing() as connection:
            done = self.update(
                connection,
                claim,
                state=result["status"],
                loss=result.get("loss"),
                loss_se=result.get("loss_se"),
                result=json.dumps(dict(result), allow_nan=False),
                error=None,
            )
            if not done:
                self._refuse_unless(connection, claim, ("finished", "diverged"))

    @patiently
    def fail(self, claim: Claim[P], message: str, *, hopeless: bool = False) -> None:
        """Record that training raised an error; the run waits again until the third time.

        Args:
            claim: The newest claim of the run.
            message: What went wrong, one line.
            hopeless: Trying again can't help: give up at once.

        Raises:
            LeaseLost: The claim is no longer the newest.
        """
        limit = 1 if hopeless else ATTEMPTS
        self._change(
            claim,
            errors=_runs.c.errors + 1,
            error=message,
            state=sa.case((_runs.c.errors + 1 >= limit, "failed"), else_="waiting"),
        )

    @patiently
    def requeue(self, claim: Claim[P]) -> None:
        """Give the run back at a graceful stop.

        Raises:
            LeaseLost: The claim is no longer the newest.
        """
        self._change(claim, state="waiting", worker=None)

    @patiently
    def release(self, worker: str, message: str | None = None) -> list[int]:
        """Give back what a dead worker held, at once instead of when its lease ends.

        The fence grows, so a worker that was thought dead and isn't is refused.

        Args:
            worker: The dead worker.
            message: Given when the run it was training is to blame: that fails for good.

        Returns:
            The numbers of the runs given back.
        """
        held = (_runs.c.study == self._study, _runs.c.worker == worker, _runs.c.state == "running")
        values: dict[str, Any] = {"state": "waiting", "worker": None, "fence": _runs.c.fence + 1}
        if message is not None:
            values |= {"state": "failed", "error": message}
        with self.writing() as connection:
            numbers = connection.execute(sa.select(_runs.c.number).where(*held)).scalars().all()
            connection.execute(sa.update(_runs).where(*held).values(values))
        return list(numbers)

    @patiently
    def give_up(self, number: int, message: str) -> None:
        """Let a run that is being trained fail for good, whoever holds it; the holder is refused.

        Args:
            number: The run's.
            message: What went wrong, one line.
        """
        own = (_runs.c.study == self._study, _runs.c.number == number, _runs.c.state == "running")
        values = {"state": "failed", "error": message, "fence": _runs.c.fence + 1, "worker": None}
        with self.writing() as connection:
            connection.execute(sa.update(_runs).where(*own).values(values))

    @patiently
    def retry_failed(self, numbers: range) -> bool:
        """Let failed runs wait again: a person has seen the errors and asked to go on.

        Args:
            numbers: Those of the step that goes on.

        Returns:
            Whether there were any.
        """
        with self.writing() as connection:
            changed = connection.execute(
                sa.update(_runs)
                .where(self._among(numbers), _runs.c.state == "failed")
                .values(state="waiting", errors=0, error=None)
            )
        return changed.rowcount > 0

    @patiently
    def rewind_failed(self, numbers: range) -> bool:
        """Take back the failures that no later run has outlived, and what was decided after them.

        Earlier ones are results by now, since later runs were decided on by them.

        Args:
            numbers: Those of the step that goes on.

        Returns:
            Whether there were any.
        """
        c = _runs.c
        with self.writing() as connection:
            last = connection.execute(
                sa.select(sa.func.max(c.number)).where(
                    self._among(numbers), c.state.in_(("finished", "diverged"))
                )
            ).scalar()
            since = numbers.start if last is None else last + 1
            first = connection.execute(
                sa.select(sa.func.min(c.number)).where(
                    self._among(range(since, numbers.stop)), c.state == "failed"
                )
            ).scalar()
            if first is None:
                return False
            connection.execute(sa.delete(_runs).where(self._among(range(first + 1, numbers.stop))))
            connection.execute(
                sa.update(_runs)
                .where(self._row(first))
                .values(state="waiting", errors=0, error=None)
            )
        return True

    @patiently
    def list(self) -> tuple[Row[P], ...]:
        """Every run by number."""
        c = _runs.c
        columns = (c.number, c.run, c.purpose, c.state, c.loss, c.loss_se, c.error)
        query = sa.select(*columns).where(c.study == self._study).order_by(c.number)
        with self.reading() as connection:
            found = connection.execute(query).all()
        return tuple(
            Row(
                row.number,
                self.run(row.number, row.run),
                row.purpose,
                row.state,
                row.loss,
                row.loss_se,
                row.error if row.state == "failed" else None,
            )
            for row in found
        )

    @patiently
    def progress(self) -> tuple[Progress, ...]:
        """Every run in training, by number."""
        c = _runs.c
        query = (
            sa.select(c.number, c.step, c.steps, c.progress_loss, c.worker)
            .where(c.study == self._study, c.state == "running")
            .order_by(c.number)
        )
        with self.reading() as connection:
            found = connection.execute(query).all()
        return tuple(
            Progress(row.number, max(row.step, 0), row.steps, row.progress_loss, row.worker)
            for row in found
        )

    @patiently
    def results(self) -> dict[int, dict[str, Any]]:
        """The full result of every finished or diverged run, by number."""
        query = sa.select(_runs.c.number, _runs.c.result).where(
            _runs.c.study == self._study, _runs.c.result.is_not(None)
        )
        with self.reading() as connection:
            found = connection.execute(query).all()
        return {row.number: json.loads(row.result) for row in found}

    def _insert(self, number: int, run: P, purpose: str, **values: Any) -> bool:
        with self.writing() as connection:
            stored = connection.execute(
                sa.select(_runs.c.key).where(self._row(number))
            ).scalar_one_or_none()
            if stored is None:
                own = {"study": self._study, "number": number, "key": run.key, "purpose": purpose}
                text = json.dumps(run.to_json())
                connection.execute(sa.insert(_runs).values(**own, run=text, **values))
                return True
        if stored != run.key:
            raise WindtunnelError(
                f"decision {number} is already another run. The study was begun with other "
                "settings, data or version: start it in a new folder."
            )
        return False

    def _row(self, number: int) -> sa.ColumnElement[bool]:
        return sa.and_(_runs.c.study == self._study, _runs.c.number == number)

    def _among(self, numbers: range) -> sa.ColumnElement[bool]:
        return sa.and_(
            _runs.c.study == self._study, _runs.c.number.between(numbers.start, numbers.stop - 1)
        )

    def run(self, number: int, text: str) -> P:
        """The run that is written as `text`; parsing is most of what listing costs: done once."""
        known = self._parsed.get(number)
        if known is None or known[0] != text:
            known = self._parsed[number] = (text, self._parse(json.loads(text)))
        return known[1]

    def no_live_twin(self, now: float) -> sa.ColumnElement[bool]:
        """Whether nobody trains a run of the same key under another number."""
        twin = _runs.alias()
        return ~sa.exists().where(
            twin.c.study == self._study,
            twin.c.key == _runs.c.key,
            twin.c.number != _runs.c.number,
            twin.c.state == "running",
            twin.c.lease_until >= now,
        )

    def take(
        self,
        connection: sa.Connection,
        claim: Claim[P],
        free: sa.ColumnElement[bool],
        now: float,
    ) -> bool:
        """Write a claim down if its run is still free and nobody claimed it meanwhile."""
        taken = connection.execute(
            sa.update(_runs)
            .where(self._row(claim.number), _runs.c.fence == claim.fence - 1, free)
            .values(
                state="running",
                worker=claim.worker,
                fence=claim.fence,
                lease_until=now + claim.lease_seconds,
                step=-1,
                steps=0,
                progress_loss=None,
            )
        )
        return taken.rowcount == 1

    def update(self, connection: sa.Connection, claim: Claim[P], **values: Any) -> bool:
        """Change a claimed run's row, if the claim is still the newest; whether it is."""
        changed = connection.execute(
            sa.update(_runs)
            .where(
                self._row(claim.number), _runs.c.fence == claim.fence, _runs.c.state == "running"
            )
            .values(values)
        )
        return changed.rowcount == 1

    def _change(self, claim: Claim[P], **values: Any) -> None:
        with self.writing() as connection:
            if not self.update(connection, claim, **values):
                self._refuse_unless(connection, claim, ())

    def _refuse_unless(
        self, connection: sa.Connection, claim: Claim[P], states: tuple[str, ...]
    ) -> None:
        row = connection.execute(
            sa.select(_runs.c.fence, _runs.c.state).where(self._row(claim.number))
        ).one()
        if row.fence != claim.fence or row.state not in states:
            raise LeaseLost(f"run {claim.number} is {row.state} and no longer {claim.worker}'s")

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes, its errors in words."""
        with self._explained(), write(self._engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads, its errors in words."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            place = self._engine.url.render_as_string(hide_password=True)
            kind = DatabaseAwayError if is_away(error) else WindtunnelError
            raise kind(f"store {place}: {says(error)}") from error


def _without_password(url: str) -> str:
    """As it may be shown; a text that is no URL at all has no password to hide."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url
