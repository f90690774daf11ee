"""From a member of a population to a run of its own: a checkpoint that the loop goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from windtunnel.models.family import Family
from windtunnel.optimizers import optimizer_method
from windtunnel.scale import Run
from windtunnel.training.assemble import assemble
from windtunnel.training.checkpoint import Progress, checkpoint_path, save_checkpoint
from windtunnel.training.metrics import MetricsLog

# Names that torch's own optimizers have for what our rules keep.
_TORCH_NAMES = {
    "adamw": {"first": "exp_avg", "second": "exp_avg_sq"},
    "sgd": {"sum": "momentum_buffer"},
}
_UNCOUNTED = ("sgd",)  # torch's counts no steps


class MetricsRow(NamedTuple):
    """A step as `MetricsLog.append` takes it."""

    step: int
    loss: float
    lr: float
    grad_norm: float


def write_log(folder: Path, run: Run, rows: Sequence[MetricsRow]) -> None:
    """Write a member's `metrics.jsonl`.

    Raises:
        WindtunnelError: The file can't be written.
    """
    log = MetricsLog(folder / "metrics.jsonl", 0)
    for row in rows:
        log.append(**row._asdict(), units=(row.step + 1) * run.recipe.batch_units)
    log.write()


def write_member(
    folder: Path,
    run: Run,
    *,
    family: Family,
    rows: Sequence[MetricsRow],
    parts: Mapping[str, tuple[Tensor, Mapping[str, Tensor]]],
    seconds: float,
    environment: dict[str, Any],
) -> None:
    """Write a member's checkpoint and its log into the run's folder.

    Args:
        folder: The run's own; a checkpoint and a log that are there are replaced.
        run: The run.
        family: Its family.
        rows: Its steps so far.
        parts: Each parameter's value and its state under the rule's names.
        seconds: Time spent on it.
        environment: What it was trained on.

    Raises:
        WindtunnelError: The folder can't be written.
    """
    trainee = assemble(run, family, torch.device("cpu"))
    method = optimizer_method(run.optimizer)
    method_of = {
        parameter: group.get("method", method.name)
        for group in trainee.optimizer.param_groups
        for parameter in group["params"]
    }
    with torch.no_grad():
        for name, parameter in trainee.model.named_parameters():
            value, state = parts[name]
            parameter.copy_(value)
            own = method_of[parameter]
            names = _TORCH_NAMES.get(own, {})
            held = {names.get(part, part): kept.cpu().clone() for part, kept in state.items()}
            if own not in _UNCOUNTED:
                held["step"] = torch.tensor(float(len(rows)))
            if rows:
                trainee.optimizer.state[parameter] = held
    write_log(folder, run, rows)
    progress = Progress(
        run.key, step=len(rows), seconds=seconds, exact=False, environment=environment
    )
    save_checkpoint(checkpoint_path(folder), progress, trainee.model, trainee.optimizer)
