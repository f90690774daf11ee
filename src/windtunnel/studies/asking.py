"""Hand a study's runs out to whoever carries them out, and take what came of them."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from windtunnel.command import arguments
from windtunnel.errors import WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.search.executors.run_files import run_folder
from windtunnel.search.store import Claim, LeaseLost
from windtunnel.search.study_store import study_store
from windtunnel.studies.execute import NotCarriedOut, step_of
from windtunnel.studies.fit import fit
from windtunnel.studies.forecast import forecast
from windtunnel.studies.study import Study
from windtunnel.studies.target import train_target
from windtunnel.studies.transfer import transfer
from windtunnel.studies.tune import tune

LEASE_SECONDS = 24 * 3600.0


def ask(study: Study, *, lease_seconds: float = LEASE_SECONDS) -> dict[str, Any]:
    """The next run to do, which is then nobody else's until its lease ends.

    Whatever the results so far allow is done first: a step that has all its runs is finished and
    the next one begins, so that asking and telling lead through the whole study, target included.

    Args:
        study: An open study; several may ask at once.
        lease_seconds: When a run that nobody told of is given to another.

    Returns:
        `state`: `run` with the run, `wait` (all runs that can be decided on are out), or `done`.
        A run has its `ticket`, which `tell` wants, `step`, `purpose`, `key`, `folder`, `scale`,
        `recipe`, `init_seed`, `data_seed`, and `command` where the study has one.

    Raises:
        WindtunnelError: This is a rank other than 0 of a distributed run.
    """
    if os.environ.get("RANK", "0") != "0":
        raise WindtunnelError(
            f"ask: this is rank {os.environ['RANK']}; let rank 0 alone ask, and send what it gets "
            "to the others"
        )
    waiting = _advance(replace(study, asked=True))
    if waiting is None:
        return {"state": "done", "reason": "the target's run has ended; `windtunnel report` shows"}
    store = study_store(study.folder)
    try:
        claim = store.claim(f"asked@{socket.gethostname()}:{os.getpid()}", lease_seconds)
        if claim is None:
            return {"state": "wait", "reason": f"{waiting}: every run is out; tell, then ask again"}
        purpose = next(row.purpose for row in store.list() if row.number == claim.number)
    finally:
        store.close()
    run, folder = claim.run, run_folder(study.folder, claim.run)
    folder.mkdir(parents=True, exist_ok=True)
    told = run.to_json()
    answer = {
        "state": "run",
        "ticket": f"{claim.number}-{claim.fence}",
        "step": step_of(claim.number),
        "purpose": purpose,
        "key": run.key,
        "folder": str(folder),
        **{name: told[name] for name in ("rule", "scale", "recipe", "init_seed", "data_seed")},
    }
    if study.spec.run is not None:
        if study.spec.run.model is not None:
            from windtunnel.parametrization.plan_file import write_plan

            write_plan(study.spec.run.model, run, study.folder, folder)
        answer["command"] = arguments(study.spec.run.command, run, folder, study.spec.device)
    return answer


def tell(
    study: Study,
    ticket: str,
    *,
    loss: float | None = None,
    loss_se: float | None = None,
    seconds: float = 0.0,
    failed: str | None = None,
) -> str:
    """What came of a run.

    Args:
        study: An open study.
        ticket: As `ask` gave it.
        loss: The study's metric at the end; None, or no finite number: the run diverged.
        loss_se: Its standard error over the validation set.
        seconds: How long it took.
        failed: Why it could not be carried out; it is then asked for again, three times at most.

    Returns:
        A sentence for people.

    Raises:
        WindtunnelError: There is no such ticket, its lease ended and the run is somebody else's,
            or the loss is none.
    """
    if loss is not None and math.isfinite(loss) and loss <= 0:
        raise WindtunnelError(f"tell: a loss of {loss:g}; the laws need one above 0")
    store = study_store(study.folder)
    try:
        number, fence = _numbers(ticket)
        run = next((row.run for row in store.list() if row.number == number), None)
        if run is None:
            raise WindtunnelError(f"tell: no run has the ticket {ticket}; take it from `ask`")
        claim = Claim(number, run, "asked", fence, LEASE_SECONDS)
        if failed is not None:
            store.fail(claim, failed)
            return f"Noted that run {number} failed: {failed}"
        diverged = loss is None or not math.isfinite(loss)
        count = study.family.parameter_count(run.scale)
        result = {
            "key": run.key,
            "status": "diverged" if diverged else "finished",
            "loss": None if diverged else loss,
            "loss_se": None if diverged else loss_se,
            "units": run.scale.units,
            "steps": run.steps,
            "flops": run.scale.units
            * study.family.flops_per_unit(run.scale, study.spec.data.sequence_length),
            "params": count.total,
            "params_non_embedding": count.non_embedding,
            "seconds": seconds,
            "exact": True,
            "environment": {"trained": "outside; told by `windtunnel tell`"},
        }
        store.finish(claim, result)
    except LeaseLost as error:
        raise WindtunnelError(
            f"tell: run {number}'s lease ended and it was given to somebody else, so this result "
            "is not taken; ask for another run, with a longer --lease if they take so long"
        ) from error
    finally:
        store.close()
    return f"Run {number} {'diverged' if diverged else f'reached {loss:g}'}. Next: windtunnel ask"


def _advance(study: Study) -> str | None:
    """Finish every step whose runs have ended; the one that waits for runs, or None at the end."""
    progress = StudyProgress(quiet=True)
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("tune", lambda: tune(study, progress)),
        ("transfer", lambda: transfer(study)),
        ("fit", lambda: fit(study, progress)),
        ("forecast", lambda: forecast(study)),
        ("target", lambda: train_target(study, progress)),
    )
    for name, step in steps:
        if name != "target" and study.read("target") is not None:
            continue
        try:
            step()
        except NotCarriedOut:
            return name
    return None


def _numbers(ticket: str) -> tuple[int, int]:
    number, dash, fence = ticket.partition("-")
    if not (dash and number.isdigit() and fence.isdigit()):
        raise WindtunnelError(f"tell: '{ticket}' is no ticket such as 12-1; take it from `ask`")
    return int(number), int(fence)
