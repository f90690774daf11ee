"""What an optimizer's present parameter groups, written down in a file, do otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.adafactor import epsilon_at_base
from windtunnel.studies.explain import plan_at, tuned_recipe
from windtunnel.studies.study import Study

_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _second(eps: Any) -> Any:
    """Of Adafactor's pair of epsilons the one that follows a plan."""
    return eps[1] if isinstance(eps, list) and len(eps) == 2 else eps


class GroupEntry(BaseModel):
    """One group as the file has it; other keys, such as `betas`, are left alone."""

    params: list[str]
    lr: _NotNegative
    weight_decay: _NotNegative | None = None
    eps: Annotated[_NotNegative | None, BeforeValidator(_second)] = None


def explain_against(
    study: Study, groups: Path, scale: str | None = None, *, with_recipe: bool = False
) -> dict[str, Any]:
    """Which parameters do these groups treat otherwise than the study's plan?

    Args:
        study: An open study.
        groups: JSON file: a list of `{"params": [names], "lr": ..., "weight_decay": ...,
            "eps": ...}`, the last two where the optimizer has them.
        scale: The scale of the model that they are for; axes left out are the target's.
        with_recipe: Hold them against the study's own recipe and tuned rate, instead of the base
            values that suit most parameters.

    Returns:
        Rule, optimizer and scales, and `windtunnel.parametrization.comparison.Comparison` as
        JSON values.

    Raises:
        WindtunnelError: The file can't be read, or a name is unknown, missing or comes twice.
    """
    from windtunnel.parametrization.compare import compare
    from windtunnel.parametrization.comparison import Group, Values
    from windtunnel.parametrization.table import heading

    entries = read_groups(groups)
    plan = plan_at(study, scale)
    recipe = tuned_recipe(study) if with_recipe else None
    found = compare(
        plan,
        [Group(tuple(e.params), Values(e.lr, e.weight_decay, e.eps)) for e in entries],
        lr=None if recipe is None else recipe.lr,
        weight_decay=None if recipe is None else recipe.weight_decay,
        eps=None if recipe is None else epsilon_at_base(plan.parameters[0].geometry, recipe),
        place=str(groups),
    )
    return {**heading(plan), "against": str(groups), **found.to_json()}


def read_groups(path: Path) -> list[GroupEntry]:
    """Read and check a file of groups.

    Raises:
        WindtunnelError: It can't be read or is no list of groups; the message is one line that
            names the entry.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WindtunnelError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise WindtunnelError(f"{path}: not a text file (its encoding must be UTF-8)") from error
    try:
        return TypeAdapter(list[GroupEntry]).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = " ".join(first["msg"].split())
        raise WindtunnelError(
            f"{path}: {place + ': ' if place else ''}{message}; write a JSON list of "
            '{"params": [names], "lr": ..., "weight_decay": ..., "eps": ...}'
        ) from error
