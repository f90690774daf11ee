"""The plan of a command's run as a file: what `{plan}` stands for."""

from __future__ import annotations

from pathlib import Path

from windtunnel.command import PLAN_FILE
from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json
from windtunnel.models.family import Family
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.rule import load_rule
from windtunnel.python_file import object_of_a_file
from windtunnel.scale import Run
from windtunnel.torch_version import require_torch


def write_plan(model: str, run: Run, study: Path, folder: Path) -> Path:
    """Resolve the run's rule for the user's model at the run's scale, and write it down.

    Args:
        model: `file.py:build`, from the study's folder: `build(width, depth)` that returns the
            model, or a family that declares what shapes can't tell, such as
            `windtunnel.FunctionFamily(build, declarations=...)`.
        run: The run.
        study: The study's folder.
        folder: The run's own folder; the plan is `plan.json` there.

    Raises:
        WindtunnelError: There is no such function, or the rule can't place a parameter.
    """
    require_torch()
    family = _family(str(study / model))
    resolved = plan(
        family, run.base, run.scale, load_rule(run.rule, run.rule_content), run.optimizer
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / PLAN_FILE, resolved.to_json())
    return folder / PLAN_FILE


def _family(name: str) -> Family:
    from windtunnel.models.function import FunctionFamily

    found = object_of_a_file(name, "run.model")
    if hasattr(found, "build") and hasattr(found, "declarations"):
        return found  # type: ignore[return-value]
    if not callable(found):
        raise WindtunnelError(
            f"run.model: {name} is no function; give build(width, depth) that returns the model"
        )
    return FunctionFamily(found)
