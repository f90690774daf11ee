"""The comparison file, typed and validated."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import optimizer_method
from windtunnel.python_file import split_name
from windtunnel.spec import StudySpec, one_line, read_yaml

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What `scales` says; a method's study is given it.
_FROM_SCALES = ("base", "ladder", "target", "name", "budget")
_OWN = ("baseline", "methods", "scales", "lengths", "seeds", "tuning", "effect", "trend")
# Values that tile each range evenly, so that every method is tried at as many of each
# hyperparameter; how many there are, the budget says.
_POLICY = {"name": "sobol", "options": {"trials": 4096}}

Share = Annotated[float, Field(gt=0, le=1)]


class TuningSpec(BaseModel):
    """How each method is tuned, all alike.

    Attributes:
        flops: What each method's search may take, at the first scale.
        spot_checks: Multiples of the tuned learning rate that are tried at the last scale, to see
            whether the rule's promise holds there.
        spot_check_seeds: Seeds of each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flops: PositiveFloat
    spot_checks: tuple[PositiveFloat, ...] = (0.5, 2.0)
    spot_check_seeds: int = Field(default=3, ge=1)


class ComparisonSpec(BaseModel):
    """A comparison, as its file states it.

    Attributes:
        baseline: The method that the others are held against.
        methods: By name, what each sets otherwise than the rest of the file: any keys of a study
            file, such as `optimizer: lion`, `recipe: {...}` or `run: a command`.
        scales: Where they are compared, smallest first; they are tuned at the first.
        lengths: Shares of each scale's training length, each a whole run of its own: speed-ups are
            read between them.
        seeds: Of every run that counts; none of them is tuned on.
        tuning: How each method is tuned.
        effect: Difference in percent of the loss that one cares about.
        trend: Size for which the speed-up is foretold, such as `{params: 7e9}`.
        shared: All other keys of the file: those of a study file that all methods have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline: str
    methods: dict[str, dict[str, Any]] = Field(min_length=2)
    scales: list[dict[str, Any]] = Field(min_length=1)
    lengths: tuple[Share, ...] = (0.5, 1.0)
    seeds: int = Field(default=5, ge=2)
    tuning: TuningSpec
    effect: float = Field(default=0.5, gt=0, lt=100)
    trend: dict[str, PositiveFloat] = Field(default={}, max_length=1)
    shared: dict[str, Any]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.baseline not in self.methods:
            known = ", ".join(self.methods)
            raise ValueError(f"baseline: no method '{self.baseline}'; there are {known}")
        for name in self.methods:
            if not _NAME.fullmatch(name):
                raise ValueError(f"methods: '{name}' is no name for a folder")
        if 1.0 not in self.lengths:
            raise ValueError("lengths: 1 has to be among them; the end of training counts")
        return self

    def study(self, method: str) -> dict[str, Any]:
        """A method's study file as plain values.

        Raises:
            WindtunnelError: The method, or what all share, sets what `scales` says.
        """
        own = self.methods[method]
        for place, given in (("", self.shared), (f"methods.{method}.", own)):
            for key in _FROM_SCALES:
                if key in given:
                    raise WindtunnelError(
                        f"{place}{key}: in a comparison `scales` and `tuning` say this; drop it"
                    )
        first, last = self.scales[0], self.scales[-1]
        unit = own.get("unit", self.shared.get("unit", "tokens"))
        merged = _merged(self.shared, own)
        if "run" in own:
            merged.pop("family", None)
        search = merged.setdefault("search", {})
        search.setdefault("policy", copy.deepcopy(_POLICY))
        return {
            "name": method,
            **merged,
            "base": dict(first),
            "ladder": {
                "width": [first.get("width")],
                "depth": first.get("depth"),
                unit: [first.get(unit)],
            },
            "target": dict(last),
            "budget": {"flops": self.tuning.flops},
        }


def load_comparison(path: Path) -> ComparisonSpec:
    """Read and validate a comparison file, every method's study with it.

    Raises:
        WindtunnelError: The file is missing, is not YAML, or breaks a rule; the message names the
            field's path.
    """
    value = read_yaml(path)
    own = {key: value[key] for key in _OWN if key in value}
    shared = {key: entry for key, entry in value.items() if key not in _OWN}
    try:
        spec = ComparisonSpec.model_validate({**own, "shared": shared})
    except ValidationError as error:
        raise WindtunnelError(f"{path}: {one_line(error, value)}") from error
    spec = _with_paths(spec, path.parent.resolve())
    for method in spec.methods:
        try:
            study = spec.study(method)
            validated = StudySpec.model_validate(study)
            if validated.run is None:
                optimizer = optimizer_method(validated.optimizer)
                optimizer.check_settings(validated.recipe.optimizer_settings)
        except ValidationError as error:
            raise WindtunnelError(
                f"{path}: as {method} has it: {one_line(error, study)}"
            ) from error
        except WindtunnelError as error:
            raise WindtunnelError(f"{path}: as {method} has it: {error}") from error
    return spec


def _with_paths(spec: ComparisonSpec, folder: Path) -> ComparisonSpec:
    """Optimizers in files of the user's own are looked for beside the comparison's file."""
    methods = {
        name: own | {"optimizer": str(folder / own["optimizer"])}
        if split_name(str(own.get("optimizer", ""))) is not None
        else own
        for name, own in spec.methods.items()
    }
    return spec.model_copy(update={"methods": methods})


def study_text(spec: ComparisonSpec, method: str) -> str:
    """A method's study file."""
    return yaml.safe_dump(spec.study(method), sort_keys=False, allow_unicode=True)


def _merged(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The method's values over the shared ones, section by section."""
    found = copy.deepcopy(shared)
    for key, value in own.items():
        there = found.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            found[key] = _merged(there, value)
        else:
            found[key] = copy.deepcopy(value)
    return found
