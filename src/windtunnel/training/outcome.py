"""What a run came to, once its steps are taken."""

from __future__ import annotations

import math

from windtunnel.training.evaluation import validate
from windtunnel.training.result import RunResult
from windtunnel.training.session import Session
from windtunnel.training.utilisation import run_utilisation


def outcome(session: Session) -> RunResult:
    """Validate, unless the run diverged, and say what it came to."""
    run, family = session.run, session.family
    loss, loss_se = math.nan, None
    if not session.diverged:
        loss, loss_se = validate(
            session.trainee.model,
            family=family,
            batches=session.batches,
            sequences=run.data.validation_sequences,
            precision=session.precision,
        )
    finished = math.isfinite(loss)
    units = session.step * run.recipe.batch_units
    looks = 0 if session.signal is None else session.step // session.signal.every
    count = family.parameter_count(run.scale)
    return RunResult(
        key=run.key,
        status="finished" if finished else "diverged",
        loss=loss if finished else None,
        loss_se=loss_se if finished else None,
        units=units,
        steps=session.step,
        flops=family.flops_per_unit(run.scale, run.data.sequence_length)
        * (units + looks * run.recipe.batch_units),
        params=count.total,
        params_non_embedding=count.non_embedding,
        seconds=session.seconds,
        exact=session.before.exact,
        environment=session.before.environment,
        skipped=tuple(session.skipping.skipped),
        utilisation=run_utilisation(
            run,
            family,
            steps=session.step - session.before.step,
            seconds=session.stepping_seconds,
            device=str(session.ranks.device),
            ranks=session.ranks.count,
        ),
    )
