"""The value types every room shares: where a model sits, how it is trained, and its run key."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a parameter is to scaling, read off which of its dimensions grow with width."""

    INPUT = "input"  # finite fan-in, growing fan-out: embeddings, first layers
    HIDDEN = "hidden"  # both grow
    OUTPUT = "output"  # growing fan-in, finite fan-out: the readout
    BOTTLENECK = "bottleneck"  # a matrix inside the network that does not grow
    VECTOR = "vector"  # one growing dimension: norm gains, biases
    SCALAR = "scalar"  # nothing grows and it has at most one dimension


class Geometry(StrEnum):
    """What an optimizer's update does to sizes (design, section 2)."""

    SGD = "sgd"  # the gradient itself
    SIGN = "sign"  # entries of order one: Adam and its kin
    RELATIVE = "relative"  # a fraction of the parameter's own norm
    ORTHOGONAL = "orthogonal"  # singular values of order one: Muon
    KRONECKER = "kronecker"  # preconditioned on both sides: Shampoo


@dataclass(frozen=True, slots=True)
class Powers:
    """A product of powers of size ratios, `fan_in^a * fan_out^b * depth^c`, as its exponents."""

    fan_in: float = 0.0
    fan_out: float = 0.0
    depth: float = 0.0

    def __mul__(self, other: Powers) -> Powers:
        """Multiply the products: exponents add."""
        return Powers(
            self.fan_in + other.fan_in, self.fan_out + other.fan_out, self.depth + other.depth
        )

    def __truediv__(self, other: Powers) -> Powers:
        """Divide the products: exponents subtract."""
        return self * Powers(-other.fan_in, -other.fan_out, -other.depth)

    def at(self, fan_in: float, fan_out: float, depth: float) -> float:
        """The product's value at these ratios of target to base."""
        return float(fan_in**self.fan_in * fan_out**self.fan_out * depth**self.depth)


NONE = Powers()


@dataclass(frozen=True, slots=True)
class Scale:
    """A point on the size axes.

    Attributes:
        width: Channels of the residual stream, or whatever the family calls its width.
        depth: Number of blocks.
        units: Training length in the study's unit (tokens, images or steps).
        extra: What a family adds (heads, experts, vocabulary), as sorted name and value pairs.
    """

    width: int
    depth: int
    units: int = 0
    extra: tuple[tuple[str, int], ...] = ()

    def replace(self, **changes: Any) -> Scale:
        """Return a copy with some axes changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters quoted at the base scale; a rule maps them to any other scale.

    Attributes:
        lr: Peak learning rate.
        batch_units: Units in one optimizer step (tokens per step, say).
        weight_decay: Coupled decay as torch's AdamW means it: `w -= lr * weight_decay * w`.
            Vectors and scalars are not decayed.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment; 0.95 as in GPT-3 (Brown et al. 2020, appendix B).
        eps: Added to the root of the second moment.
        schedule: Name in `windtunnel.schedules`.
        warmup_fraction: Share of the steps spent warming up linearly.
        decay_fraction: Share of the steps spent decaying (warmup-stable-decay only).
        clip_norm: Largest global gradient norm, in the rule's own gauge; 0 turns clipping off.
        schedule_settings: The schedule's own settings, as sorted name and value pairs; lists of
            numbers are tuples.
        optimizer_settings: The optimizer's own settings that shall be others than its defaults, as
            sorted name and number pairs.
    """

    lr: float
    batch_units: int
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    schedule: str = "wsd"
    warmup_fraction: float = 0.1
    decay_fraction: float = 0.3
    clip_norm: float = 1.0
    schedule_settings: tuple[tuple[str, Any], ...] = ()
    optimizer_settings: tuple[tuple[str, float], ...] = ()

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with some hyperparameters changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """Which data a run sees: the tokens' hash, how they are cut, how many sequences validate."""

    content_hash: str
    sequence_length: int
    validation_sequences: int


@dataclass(frozen=True, slots=True)
class Skip:
    """When a run passes over a step's update: it is part of what the run is.

    Attributes:
        limit: Steps that may be skipped; one more, and the run has diverged.
        spike: A gradient norm that is this many times the median of the last 100 is skipped, too;
            None skips only what is not finite.
    """

    limit: int
    spike: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One training run, in full: two runs with equal fields are the same run.

    Attributes:
        family: Name in `windtunnel.models`.
        family_options: The family's own options, as sorted name and JSON value pairs.
        optimizer: Name in `windtunnel.optimizers`.
        rule: Name of the parametrization rule.
        base: Scale at which the recipe is quoted.
        scale: Scale that is trained.
        recipe: Hyperparameters at base.
        data: Which tokens are read and how.
        init_seed: Seed of the initialisation.
        data_seed: Seed of the batches.
        precision: `fp32`, or `bf16` for autocast.
        rule_content: What the rule's file says, for a rule of the user's own
            (`windtunnel.parametrization.rule.Rule.content`); None for one that Windtunnel has.
        skip: When a step's update is passed over; None for never.
    """

    family: str
    family_options: tuple[tuple[str, Any], ...]
    optimizer: str
    rule: str
    base: Scale
    scale: Scale
    recipe: Recipe
    data: DataIdentity
    init_seed: int = 0
    data_seed: int = 0
    precision: str = "fp32"
    rule_content: str | None = None
    skip: Skip | None = None

    @property
    def key(self) -> str:
        """32 hexadecimal digits: the SHA-256 of the run's canonical JSON, cut."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    @property
    def steps(self) -> int:
        """Optimizer steps: units divided by units per step, at least one."""
        return max(1, round(self.scale.units / self.recipe.batch_units))

    def replace(self, **changes: Any) -> Run:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """The run as plain JSON values; `from_json` gives an equal run back."""
        value: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for name in ("rule_content", "skip"):
            if value[name] is None:
                del value[name]  # as before there was any: keys stay what they were
        for name in ("schedule_settings", "optimizer_settings"):
            if not value["recipe"][name]:
                del value["recipe"][name]  # likewise
        return value

    @staticmethod
    def from_json(value: dict[str, Any]) -> Run:
        """Rebuild a run from `to_json`'s value."""
        fields = dict(value)
        fields["family_options"] = tuple((name, option) for name, option in value["family_options"])
        fields["base"] = _scale(value["base"])
        fields["scale"] = _scale(value["scale"])
        fields["recipe"] = _recipe(value["recipe"])
        fields["data"] = DataIdentity(**value["data"])
        if "skip" in value:
            fields["skip"] = Skip(**value["skip"])
        return Run(**fields)


def _recipe(value: dict[str, Any]) -> Recipe:
    settings = tuple(
        (name, tuple(setting) if isinstance(setting, list) else setting)
        for name, setting in value.get("schedule_settings", ())
    )
    own = tuple((name, setting) for name, setting in value.get("optimizer_settings", ()))
    return Recipe(**{**value, "schedule_settings": settings, "optimizer_settings": own})


def _scale(value: dict[str, Any]) -> Scale:
    return Scale(**{**value, "extra": tuple((name, size) for name, size in value["extra"])})
