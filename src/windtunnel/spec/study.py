"""A whole study file, and what its sections owe each other."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from windtunnel.command import placeholders
from windtunnel.spec.sections import (
    BudgetSpec,
    DataSpec,
    FamilySpec,
    LadderSpec,
    LimitsSpec,
    MetricSpec,
    RecipeSpec,
    RunSpec,
    SearchSpec,
    SizeSpec,
    TrainingSpec,
)
from windtunnel.spec.values import Section

UNITS = ("tokens", "images", "steps")


def _command_alone(value: Any) -> Any:
    """A command by itself is one with the usual settings."""
    return {"command": value} if isinstance(value, str) else value


def _matching(pattern: str, advice: str) -> AfterValidator:
    """A text of that form, or what to write instead."""

    def checked(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"{value!r}: {advice}")
        return value

    return AfterValidator(checked)


Name = Annotated[
    str,
    _matching(
        "[A-Za-z0-9][A-Za-z0-9._-]*",
        "use letters, digits, '.', '_' and '-', a letter or digit first",
    ),
]
Device = Annotated[
    str, _matching(r"auto|cpu|cuda(:\d+)?", "use auto, cpu, cuda, or one GPU such as cuda:1")
]


class StudySpec(Section):
    """A whole study, as `study.yaml` states it.

    Attributes:
        population: Whether a worker may train runs that wait and are alike all at once, where a
            few timed steps say that this is faster: `auto` on a GPU alone, `timed` on a CPU too,
            `never`. Losses are then those of single runs but for rounding, which training
            amplifies, and which runs go together depends on what waits at the moment.
    """

    name: Name = "study"
    family: FamilySpec | None = None
    run: Annotated[RunSpec | None, BeforeValidator(_command_alone)] = None
    data: DataSpec = DataSpec()
    unit: Literal["tokens", "images", "steps"] = "tokens"
    metric: MetricSpec = MetricSpec()
    device: Device = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    rule: str = "mup"
    optimizer: str = "adamw"
    base: SizeSpec
    ladder: LadderSpec
    target: SizeSpec
    recipe: RecipeSpec
    search: SearchSpec
    seed: int = Field(default=0, ge=0)
    budget: BudgetSpec = BudgetSpec()
    limits: LimitsSpec = LimitsSpec()
    training: TrainingSpec = TrainingSpec()
    workers: Literal["auto"] | PositiveInt = "auto"
    population: Literal["auto", "timed", "never"] = "auto"

    @property
    def planned(self) -> bool:
        """Whether a rule sets the parameters: of our models, and of a command's given a plan."""
        return self.run is None or self.run.model is not None

    @model_validator(mode="before")
    @classmethod
    def _lengths_under_the_unit(cls, value: Any) -> Any:
        """Rename `tokens:` (or whatever the unit is) to `units` in base, ladder and target."""
        if not isinstance(value, dict):
            return value
        unit = value.get("unit", "tokens")
        if unit not in UNITS:
            return value
        renamed = dict(value)
        for section in ("base", "ladder", "target"):
            sizes = value.get(section)
            if not isinstance(sizes, dict):
                continue
            wrong = sorted(set(sizes) & {"units", *UNITS} - {unit})
            if wrong:
                raise ValueError(
                    f"{section}.{wrong[0]}: this study counts in {unit} (unit: {unit}); "
                    f"write {section}.{unit}"
                )
            if unit not in sizes:
                raise ValueError(f"{section}.{unit}: missing; give the training length in {unit}")
            renamed[section] = {("units" if k == unit else k): v for k, v in sizes.items()}
        return renamed

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.family is None) == (self.run is None):
            raise ValueError("family: name a family or give `run:`, a command, and not both")
        if self.run is not None:
            self._heard(self.run)
        for axis in ("width", "units"):
            largest = max(getattr(self.ladder, axis))
            wanted = getattr(self.target, axis)
            if wanted < largest:
                name = self.unit if axis == "units" else axis
                raise ValueError(
                    f"target.{name}: {wanted:,} is smaller than the ladder's largest, {largest:,}; "
                    "a forecast needs a target at or above the ladder"
                )
        if self.target.depth < self.ladder.depth:
            raise ValueError(
                f"target.depth: {self.target.depth} is smaller than the ladder's, "
                f"{self.ladder.depth}; a forecast needs a target at or above the ladder"
            )
        if self.recipe.batch > min(self.ladder.units):
            raise ValueError("recipe.batch: larger than the ladder's shortest training length")
        own_data = self.run is None
        if own_data and self.unit == "tokens" and self.recipe.batch % self.data.sequence_length:
            raise ValueError(
                f"recipe.batch: {self.recipe.batch:,} tokens is no whole number of sequences of "
                f"{self.data.sequence_length}"
            )
        return self

    def _heard(self, run: RunSpec) -> None:
        """Refuse a command that isn't told what the study varies."""
        names = placeholders(run.command)
        length = frozenset({"units", "steps", self.unit})
        varied: dict[str, frozenset[str]] = {
            **{name: frozenset({name}) for name in self.search.hyperparameters},
            "width": frozenset({"width"}),
            "seed": frozenset({"seed", "data_seed"}),
            self.unit: length,
        }
        if self.target.depth != self.ladder.depth:
            varied["depth"] = frozenset({"depth"})
        for name, told in varied.items():
            if not names & told:
                raise ValueError(
                    f"run.command: the study varies {name}, and the command has no {{{name}}}"
                )
        if self.metric.goal == "maximize":
            raise ValueError(
                "metric.goal: laws are of losses, which fall; report an error (1 - accuracy) and "
                "minimize it"
            )
