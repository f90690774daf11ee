"""The study file: typed, validated, and explained to the person who wrote it."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from windtunnel.arithmetic import evaluate
from windtunnel.command import placeholders
from windtunnel.errors import WindtunnelError
from windtunnel.python_file import split_name
from windtunnel.scale import Recipe, Scale

UNITS = ("tokens", "images", "steps")
# Sweeps of the learning rate along the ladder, each begun where the last one's optimum was.
BRACKETS = "brackets"
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}


def _amount(value: Any) -> Any:
    """Read `2.5M`, `300k` or `1_000_000` as a whole number; leave anything else to pydantic."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)\s*([kmbgt]?)", value.strip().lower())
    if match is None:
        raise ValueError(f"'{value}' is not an amount such as 300000, 300k or 2.5M")
    amount = Fraction(match[1].replace("_", "")) * _SUFFIXES[match[2]]
    if amount.denominator != 1:
        raise ValueError(f"'{value}' is not a whole number")
    return amount.numerator


def _seconds(value: Any) -> Any:
    """Read `90s`, `10m` or `1.5h` as seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", value.strip().lower())
    if match is None:
        raise ValueError(f"'{value}' is not a time such as 90s, 10m or 1.5h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _command_alone(value: Any) -> Any:
    """A command by itself is one with the usual settings."""
    return {"command": value} if isinstance(value, str) else value


def _policy_alone(value: Any) -> Any:
    """A policy's name by itself is one with its own defaults."""
    return {"name": value} if isinstance(value, str) else value


def _setting(value: Any) -> str | float | tuple[float, ...]:
    """A name, a number or a list of numbers, which the schedule itself then judges."""
    if isinstance(value, str):
        return value
    entries = value if isinstance(value, list | tuple) else [value]
    for entry in entries:
        number = isinstance(entry, int | float) and not isinstance(entry, bool)
        if not (number and math.isfinite(entry)):
            raise ValueError(f"{entry!r} is no number, name or list of numbers")
    numbers = tuple(float(entry) for entry in entries)
    return numbers if isinstance(value, list | tuple) else numbers[0]


def _distinct_and_sorted(values: list[int]) -> list[int]:
    return sorted(set(values))


Amount = Annotated[PositiveInt, BeforeValidator(_amount)]
Seconds = Annotated[PositiveFloat, BeforeValidator(_seconds)]
Setting = Annotated[Any, AfterValidator(_setting)]
Sizes = Annotated[list[Amount], AfterValidator(_distinct_and_sorted)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FamilySpec(_Section):
    """A built-in model family and its options, which the family itself validates."""

    name: str = "gpt"
    options: dict[str, str | bool | int | float] = {}


class RunSpec(_Section):
    """The user's own training command, and what can't be read off it.

    Attributes:
        command: With placeholders in braces; see `windtunnel.command`.
        params: Formula of the parameters, in `width` and `depth`.
        model: `file.py:build`, for a command with `{plan}`: `build(width, depth)` makes the model
            that the plan is for.
    """

    command: str
    params: str = "12 * depth * width**2"
    model: str | None = None

    @model_validator(mode="after")
    def _understood(self) -> Self:
        try:
            names = placeholders(self.command)
            evaluate(self.params, {"width": 64.0, "depth": 2.0})
        except WindtunnelError as error:
            raise ValueError(str(error)) from error
        if self.model is None and "plan" in names:
            raise ValueError(
                "{plan} wants to know the model; add model: train.py:build under run, whose "
                "build(width, depth) returns it"
            )
        if self.model is not None and "plan" not in names:
            raise ValueError("run has a model, and the command has no {plan} to give it to")
        if self.model is not None and split_name(self.model) is None:
            raise ValueError(f"model: '{self.model}' is not of the form train.py:build")
        return self


class MetricSpec(_Section):
    """What is measured at the end of a run, and which way is better."""

    name: str = "loss"
    goal: Literal["minimize", "maximize"] = "minimize"
    bounds: tuple[float | None, float | None] = (0.0, None)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.bounds
        if low is not None and high is not None and low >= high:
            raise ValueError("the lower bound must be below the upper one")
        return self


class DataSpec(_Section):
    """Where the text comes from and how it is cut. `stdlib` is this Python's own library source."""

    source: str = "stdlib"
    text_column: str = "text"
    tokenizer: str = "bytes"
    sequence_length: PositiveInt = 128
    validation_fraction: float = Field(default=0.05, gt=0, lt=0.5)
    validation_sequences: PositiveInt = 512


class SizeSpec(_Section):
    """One scale: width, depth, and the training length under the study's unit."""

    width: PositiveInt
    depth: PositiveInt
    units: Amount

    def scale(self) -> Scale:
        """The same as the shared value type."""
        return Scale(width=self.width, depth=self.depth, units=self.units)


class LadderSpec(_Section):
    """The small scales that are searched: every width at every length, at one depth."""

    width: Sizes = Field(min_length=1)
    depth: PositiveInt
    units: Sizes = Field(min_length=1)


class RecipeSpec(_Section):
    """Hyperparameters at base that are not searched; defaults as in `windtunnel.scale.Recipe`."""

    batch: Amount
    weight_decay: float = Field(default=0.1, ge=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.95,
    )
    eps: PositiveFloat = 1e-8
    schedule: str = "wsd"
    schedule_settings: dict[str, Setting] = {}
    optimizer_settings: dict[str, FiniteFloat] = {}
    warmup: float = Field(default=0.1, ge=0, lt=1)
    decay: float = Field(default=0.3, ge=0, le=1)
    clip: float = Field(default=1.0, ge=0)

    def recipe(self, lr: float) -> Recipe:
        """The full recipe at one learning rate."""
        return Recipe(
            lr=lr,
            batch_units=self.batch,
            weight_decay=self.weight_decay,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            schedule=self.schedule,
            warmup_fraction=self.warmup,
            decay_fraction=self.decay,
            clip_norm=self.clip,
            schedule_settings=tuple(sorted(self.schedule_settings.items())),
            optimizer_settings=tuple(sorted(self.optimizer_settings.items())),
        )


class RangeSpec(_Section):
    """A hyperparameter's first bracket: geometric, widened when the best is at its edge."""

    low: PositiveFloat
    high: PositiveFloat
    points: int = Field(default=5, ge=3)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class PolicySpec(_Section):
    """Who decides what is searched next.

    Attributes:
        name: `brackets`, or a policy of `windtunnel.search.policies`.
        width: Where a policy that tunes at one width does so; None: at the ladder's largest.
        options: The policy's own, which it validates itself.
    """

    name: str = BRACKETS
    width: PositiveInt | None = None
    options: dict[str, bool | int | float | str] = {}


class SearchSpec(_Section):
    """What is searched, by which policy, and how many decisions may be open at once.

    `parallelism` belongs to the study, not to the machine: it fixes which results a decision may
    use, so that the study gives the same table on any number of workers.
    """

    hyperparameters: dict[Literal["lr", "weight_decay", "beta2", "warmup_fraction"], RangeSpec]
    policy: Annotated[PolicySpec, BeforeValidator(_policy_alone)] = PolicySpec()
    seeds: PositiveInt = 2
    parallelism: PositiveInt = 4

    @model_validator(mode="after")
    def _rate_first(self) -> Self:
        if "lr" not in self.hyperparameters:
            raise ValueError("the learning rate must be searched: add hyperparameters.lr")
        return self


class LimitsSpec(_Section):
    """What one run may take; one that takes more is ended, and costs itself alone.

    Attributes:
        silence: Seconds without a step, or without a row of a command's; counted from the claim,
            so that compiling and preparing data are in it.
        time: Seconds in all, on one worker without a stop; None: no limit.
        memory: Bytes of main memory that its processes hold for themselves, Python and torch
            included; None: no limit. Linux alone tells.
    """

    silence: Seconds = 600.0
    time: Seconds | None = None
    memory: Amount | None = None


class SkipSpec(_Section):
    """When the target passes over a step's update.

    Attributes:
        limit: Steps that may be skipped; one more, and the target has diverged.
        spike: A gradient norm this many times the median of the last 100 is skipped too; None
            skips only what is not finite.
    """

    limit: PositiveInt = 10
    spike: Annotated[float, Field(gt=1)] | None = None


class TrainingSpec(_Section):
    """How the target is trained; the ladder's runs are small, and need none of it.

    Attributes:
        sharding: What the processes that torchrun starts do with the model: `fsdp` cuts it among
            them, `ddp` copies it to each.
        tensor: Processes that share each layer (tensor parallelism); 1 for none.
        micro_batch: Sequences that a device sees at once, at most; the rest of its part of a
            batch is accumulated. None: all of them.
        recompute: Whether activations are computed again in the backward pass, to save memory.
        compile: Whether the model is compiled by torch.
        checkpoint: Seconds between checkpoints.
        skip: When a step's update is passed over; None: never.
        trackers: Where the target's losses go beside `metrics.jsonl`.
    """

    sharding: Literal["fsdp", "ddp"] = "fsdp"
    tensor: PositiveInt = 1
    micro_batch: PositiveInt | None = None
    recompute: bool = False
    compile: bool = False
    checkpoint: Seconds = 60.0
    skip: SkipSpec | None = None
    trackers: list[Literal["tensorboard", "mlflow", "wandb"]] = []


class BudgetSpec(_Section):
    """Limits for the whole study; a missing one is no limit."""

    time: Seconds | None = None
    flops: PositiveFloat | None = None


class StudySpec(_Section):
    """A whole study, as `study.yaml` states it.

    Attributes:
        population: Whether a worker may train runs that wait and are alike all at once, where a
            few timed steps say that this is faster: `auto` on a GPU alone, `timed` on a CPU too,
            `never`. Losses are then those of single runs but for rounding, which training
            amplifies, and which runs go together depends on what waits at the moment.
    """

    name: str = Field(default="study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    family: FamilySpec | None = None
    run: Annotated[RunSpec | None, BeforeValidator(_command_alone)] = None
    data: DataSpec = DataSpec()
    unit: Literal["tokens", "images", "steps"] = "tokens"
    metric: MetricSpec = MetricSpec()
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
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


def load_study(path: Path) -> StudySpec:
    """Read and validate a study file.

    Raises:
        WindtunnelError: The file is missing, is not YAML, or breaks a rule; the message is one
            line that names the field's path.
    """
    value = read_yaml(path)
    try:
        return StudySpec.model_validate(value)
    except ValidationError as error:
        raise WindtunnelError(f"{path}: {one_line(error, value)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of keys and values.

    Raises:
        WindtunnelError: It is missing, is no text, is not YAML, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WindtunnelError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise WindtunnelError(f"{path}: not a text file (its encoding must be UTF-8).") from error
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WindtunnelError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise WindtunnelError(f"{path}: not a study; `windtunnel init` writes a commented example.")
    return value


def one_line(error: ValidationError, study: dict[str, Any]) -> str:
    """The first complaint with its field's path, in the file's own words.

    A misspelt key makes two: it is unknown, and what was meant is missing. The former tells more.
    """
    complaints = error.errors()
    first, count = complaints[0], len(complaints)
    if first["type"] == "missing":
        beside = (c for c in complaints if c["loc"][:-1] == first["loc"][:-1])
        first = next((c for c in beside if c["type"] == "extra_forbidden"), first)
    unit = str(study.get("unit", "tokens"))
    parts = [part for part in first["loc"] if part != "[key]"]
    place = ".".join(unit if part == "units" else str(part) for part in parts)
    if first["type"] == "extra_forbidden":
        message = "unknown key; `windtunnel init` writes a file with every key"
    elif first["type"] == "missing":
        message = "missing"
    elif first["type"] == "too_short":
        message = "empty; the ladder needs at least one size"
    else:
        message = " ".join(first["msg"].removeprefix("Value error, ").split())
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"{place}: {message}{more}" if place else f"{message}{more}"
