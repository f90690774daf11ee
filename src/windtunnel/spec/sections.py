"""The sections of a study file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from windtunnel.arithmetic import evaluate
from windtunnel.command import placeholders
from windtunnel.errors import WindtunnelError
from windtunnel.python_file import split_name
from windtunnel.scale import Recipe, Scale
from windtunnel.spec.values import Amount, Seconds, Section, Setting, Sizes

# Sweeps of the learning rate along the ladder, each begun where the last one's optimum was.
BRACKETS = "brackets"


def _policy_alone(value: Any) -> Any:
    """A policy's name by itself is one with its own defaults."""
    return {"name": value} if isinstance(value, str) else value


class FamilySpec(Section):
    """A built-in model family and its options, which the family itself validates."""

    name: str = "gpt"
    options: dict[str, str | bool | int | float] = Field(default_factory=dict)


class RunSpec(Section):
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


class MetricSpec(Section):
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


class DataSpec(Section):
    """Where the text comes from and how it is cut. `stdlib` is this Python's own library source."""

    source: str = "stdlib"
    text_column: str = "text"
    tokenizer: str = "bytes"
    sequence_length: PositiveInt = 128
    validation_fraction: float = Field(default=0.05, gt=0, lt=0.5)
    validation_sequences: PositiveInt = 512


class SizeSpec(Section):
    """One scale: width, depth, and the training length under the study's unit."""

    width: PositiveInt
    depth: PositiveInt
    units: Amount

    def scale(self) -> Scale:
        """The same as the shared value type."""
        return Scale(width=self.width, depth=self.depth, units=self.units)


class LadderSpec(Section):
    """The small scales that are searched: every width at every length, at one depth."""

    width: Sizes = Field(min_length=1)
    depth: PositiveInt
    units: Sizes = Field(min_length=1)


class RecipeSpec(Section):
    """Hyperparameters at base that are not searched; defaults as in `windtunnel.scale.Recipe`."""

    batch: Amount
    weight_decay: float = Field(default=0.1, ge=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.95,
    )
    eps: PositiveFloat = 1e-8
    schedule: str = "wsd"
    schedule_settings: dict[str, Setting] = Field(default_factory=dict)
    optimizer_settings: dict[str, FiniteFloat] = Field(default_factory=dict)
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


class RangeSpec(Section):
    """A hyperparameter's first bracket: geometric, widened when the best is at its edge."""

    low: PositiveFloat
    high: PositiveFloat
    points: int = Field(default=5, ge=3)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class PolicySpec(Section):
    """Who decides what is searched next.

    Attributes:
        name: `brackets`, or a policy of `windtunnel.search.policies`.
        width: Where a policy that tunes at one width does so; None: at the ladder's largest.
        options: The policy's own, which it validates itself.
    """

    name: str = BRACKETS
    width: PositiveInt | None = None
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)


class SearchSpec(Section):
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


class LimitsSpec(Section):
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


class SkipSpec(Section):
    """When the target passes over a step's update.

    Attributes:
        limit: Steps that may be skipped; one more, and the target has diverged.
        spike: A gradient norm this many times the median of the last 100 is skipped too; None
            skips only what is not finite.
    """

    limit: PositiveInt = 10
    spike: Annotated[float, Field(gt=1)] | None = None


class TrainingSpec(Section):
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
    trackers: list[Literal["tensorboard", "mlflow", "wandb"]] = Field(default_factory=list)


class BudgetSpec(Section):
    """Limits for the whole study; a missing one is no limit."""

    time: Seconds | None = None
    flops: PositiveFloat | None = None
