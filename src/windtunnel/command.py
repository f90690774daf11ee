"""The user's own training command: its placeholders, and the arguments of one run."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from string import Formatter

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Run

PLAN_FILE = "plan.json"  # in the run's folder
# What a run tells its command, each with the run's own value.
PLACEHOLDERS = (
    *("width", "depth", "units", "tokens", "images", "steps"),
    *("lr", "weight_decay", "beta1", "beta2", "eps", "clip_norm"),
    *("batch_units", "schedule", "schedule_settings"),
    "optimizer_settings",
    *("warmup_fraction", "decay_fraction"),
    *("seed", "data_seed", "device", "run", "plan"),
)


def placeholders(command: str) -> frozenset[str]:
    """The names in braces.

    Raises:
        WindtunnelError: A brace is left open, a name is none of `PLACEHOLDERS`, or the command
            has no words.
    """
    try:
        words = shlex.split(command)
        found = [field for word in words for _, field, _, _ in Formatter().parse(word)]
    except ValueError as error:
        raise WindtunnelError(f"'{command}': {error}; write literal braces as {{{{ }}}}") from error
    if not words:
        raise WindtunnelError("the command is empty")
    names = frozenset(field for field in found if field is not None)
    for name in sorted(names):
        if name not in PLACEHOLDERS:
            near = difflib.get_close_matches(name, PLACEHOLDERS, n=1)
            meant = f"; did you mean {{{near[0]}}}?" if near else ""
            raise WindtunnelError(
                f"there is no {{{name}}}{meant} There are "
                + ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            )
    return names


def arguments(command: str, run: Run, folder: Path, device: str) -> list[str]:
    """The command's words with a run's values put in.

    Words are told apart before, and no shell sees them, so a value is always part of one word.

    Args:
        command: As the study file has it.
        run: The run.
        folder: The run's own folder.
        device: Such as `cpu` or `cuda:1`.
    """
    recipe, scale = run.recipe, run.scale
    values: Mapping[str, object] = {
        "width": scale.width,
        "depth": scale.depth,
        **dict.fromkeys(("units", "tokens", "images"), scale.units),
        "steps": run.steps,
        "lr": recipe.lr,
        "weight_decay": recipe.weight_decay,
        "beta1": recipe.beta1,
        "beta2": recipe.beta2,
        "eps": recipe.eps,
        "clip_norm": recipe.clip_norm,
        "batch_units": recipe.batch_units,
        "schedule": recipe.schedule,
        "schedule_settings": json.dumps(dict(recipe.schedule_settings)),
        "optimizer_settings": json.dumps(dict(recipe.optimizer_settings)),
        "warmup_fraction": recipe.warmup_fraction,
        "decay_fraction": recipe.decay_fraction,
        "seed": run.init_seed,
        "data_seed": run.data_seed,
        "device": device,
        "run": folder,
        "plan": folder / PLAN_FILE,
    }
    return [word.format(**values) for word in shlex.split(command)]
