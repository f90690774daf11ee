"""What a run came to, once its steps are taken."""

from __future__ import annotations

import math
from typing import Any

from windtunnel.training.evaluation import validate
from windtunnel.training.peak_flops import peak_flops
from windtunnel.training.result import RunResult
from windtunnel.training.session import Session
from windtunnel.training.utilisation import utilisation


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
        utilisation=_utilisation(session),
    )


def _utilisation(session: Session) -> dict[str, Any] | None:
    """Of the steps that this process took."""
    run, device = session.run, session.ranks.device
    taken = utilisation(
        units=(session.step - session.before.step) * run.recipe.batch_units,
        seconds=session.stepping_seconds,
        flops_per_unit=session.family.flops_per_unit(run.scale, run.data.sequence_length),
        peak=peak_flops(str(device), run.precision, session.threads),
        ranks=session.ranks.count,
    )
    return None if taken is None else taken.to_json()
