"""Claims of several runs by one worker, which trains them at once: made, kept, given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from windtunnel.search import schema
from windtunnel.search.patience import patiently
from windtunnel.search.store import Claim, Store
from windtunnel.search.trial import P

_runs = schema.runs


@patiently
def claim_alike(
    store: Store[P],
    first: Claim[P],
    alike: Callable[[P], bool],
    *,
    least: int,
    most: int,
    workers: int,
) -> list[Claim[P]]:
    """Take more runs to be carried out with one that is claimed already, lowest numbers first.

    Those that failed before are left alone, as are second ones of the same key.

    Args:
        store: Where the first was claimed.
        first: The claim that is held.
        alike: Whether a run can be carried out with the first; may look at files.
        least: How many it must be in all, the first included; else none is taken.
        most: How many it may be in all.
        workers: How many take runs, this one included: each leaves the others their share.

    Returns:
        The further claims.
    """
    waiting = sa.and_(_runs.c.study == store.study, _runs.c.state == "waiting")
    candidates = sa.select(_runs.c.number, _runs.c.fence, _runs.c.run).order_by(_runs.c.number)
    now = store.now()
    free = sa.and_(waiting, _runs.c.errors == 0, store.no_live_twin(now))
    # Outside the transaction that writes, since others wait for that one.
    with store.reading() as connection:
        rows = connection.execute(candidates.where(free)).all()
    seen = {first.run.key}
    fences: dict[int, int] = {}
    for row in rows:
        run = store.run(row.number, row.run)
        if run.key not in seen and alike(run):
            seen.add(run.key)
            fences[row.number] = row.fence
    share = min(most, -(-(1 + len(fences)) // workers))
    if share < max(least, 2):
        return []
    claims: list[Claim[P]] = []
    with store.writing() as connection:
        for row in connection.execute(candidates.where(free)).all():
            if len(claims) == share - 1:
                break
            if fences.get(row.number) != row.fence:
                continue
            run = store.run(row.number, row.run)
            claim = Claim(row.number, run, first.worker, row.fence + 1, first.lease_seconds)
            if store.take(connection, claim, waiting, now):
                claims.append(claim)
    return claims


@patiently
def report_all(
    store: Store[P],
    claims: Sequence[Claim[P]],
    step: int,
    steps: int,
    losses: Mapping[str, float | None],
) -> list[Claim[P]]:
    """Say how far runs are that go together; leases are extended if `step` has grown.

    Args:
        store: Where they were claimed.
        claims: The runs.
        step: Steps done, of each.
        steps: Steps in all.
        losses: The last loss by the run's key, where there is one.

    Returns:
        The claims that are no longer the newest; write nothing for them.
    """
    grown = _runs.c.step < step
    lost = []
    with store.writing() as connection:
        for claim in claims:
            until = store.now() + claim.lease_seconds
            if not store.update(
                connection,
                claim,
                lease_until=sa.case((grown, until), else_=_runs.c.lease_until),
                step=sa.case((grown, step), else_=_runs.c.step),
                steps=steps,
                progress_loss=losses.get(claim.run.key),
            ):
                lost.append(claim)
    return lost


@patiently
def renew_all(store: Store[P], claims: Sequence[Claim[P]]) -> list[Claim[P]]:
    """Extend leases that ended during one long step, where nobody took the run meanwhile.

    Returns:
        The claims that somebody did take.
    """
    with store.writing() as connection:
        return [
            claim
            for claim in claims
            if not store.update(connection, claim, lease_until=store.now() + claim.lease_seconds)
        ]


@patiently
def requeue_all(store: Store[P], claims: Sequence[Claim[P]]) -> None:
    """Give runs back, those excepted that others have taken."""
    with store.writing() as connection:
        for claim in claims:
            store.update(connection, claim, state="waiting", worker=None)
