"""What a report says: one frozen record a study, filled from the study's JSON files."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from windtunnel.errors import WindtunnelError
from windtunnel.report.glossary import GLOSSARY
from windtunnel.report.searched import Searched

Tone = Literal["good", "warn", "bad"]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One verdict in words: what it is about, a whole sentence, and how good the news is."""

    label: str
    text: str
    tone: Tone = "good"


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One run of a sweep; `loss` is None where the run diverged."""

    lr: float
    loss: float | None
    seed: int


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best learning rate and its 90 % range."""

    lr: float
    ci90: Range


@dataclass(frozen=True, slots=True)
class Sweep:
    """Every learning rate tried at one scale under one rule."""

    rule: str
    width: int
    depth: int
    units: int
    points: tuple[RatePoint, ...]
    optimum: Optimum | None = None


@dataclass(frozen=True, slots=True)
class CheckCurve:
    """One point of a coordinate check's curve: a module's root mean square at one size.

    Attributes:
        module: The module's name.
        axis: `width` or `depth`.
        size: The value on that axis.
        step: The optimizer step, 0 being initialisation.
        quantity: `activation`, or `update` for its change since initialisation.
        rms: Mean over seeds; None where it was not finite.
    """

    module: str
    axis: str
    size: int
    step: int
    quantity: str
    rms: float | None


@dataclass(frozen=True, slots=True)
class CheckSlope:
    """How fast one module's size grows: the slope of log rms against log size."""

    module: str
    quantity: str
    axis: str
    step: int
    slope: float | None
    ci90: tuple[float | None, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The coordinate check of one rule (`windtunnel.parametrization.check`, as JSON)."""

    verdict: str
    max_abs_slope: float | None = None
    reason: str = ""
    curves: tuple[CheckCurve, ...] = ()
    slopes: tuple[CheckSlope, ...] = ()

    def steepest(self, count: int) -> list[CheckSlope]:
        """The slopes furthest from zero after the last step, which is what the check judges.

        One that could not be fitted counts as the worst.
        """
        last = max((slope.step for slope in self.slopes), default=0)

        def steepness(slope: CheckSlope) -> float:
            return math.inf if slope.slope is None else abs(slope.slope)

        return sorted(
            (slope for slope in self.slopes if slope.step == last), key=steepness, reverse=True
        )[:count]


@dataclass(frozen=True, slots=True)
class AxisTransfer:
    """Whether the optimum stays put along one axis.

    Attributes:
        axis: `width`, or the study's unit for the training length.
        verdict: `transfers`, `drifts` or `cannot say`.
        slope: Slope of log2 optimum against log2 size.
        slope_ci90: Its 90 % range.
        loss_paid_percent: Loss paid for keeping the base's optimum at the larger scales.
        varied: Smallest and largest size that was varied.
        target_ratio: The target's size over the largest one varied.
        reason: Why the verdict is what it is.
        next_run: The cheapest run that would settle it, where it is not settled.
    """

    axis: str
    verdict: str
    slope: float | None = None
    slope_ci90: Range | None = None
    loss_paid_percent: float | None = None
    varied: tuple[float, ...] | None = None
    target_ratio: float | None = None
    reason: str = ""
    next_run: str | None = None


@dataclass(frozen=True, slots=True)
class LawPoint:
    """One ladder run the law was fitted on; `params` is the count the law uses."""

    params: float
    units: float
    loss: float
    width: int | None = None


@dataclass(frozen=True, slots=True)
class LawCurve:
    """The fitted law for one model size along training length, with its 90 % range."""

    params: float
    units: tuple[float, ...]
    loss: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Law:
    """L(N, D) = E + A/N^alpha + B/D^beta: what it was fitted on and what came out."""

    points: tuple[LawPoint, ...]
    parameters: dict[str, float]
    curves: tuple[LawCurve, ...] = ()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the law said of the target before the target was trained."""

    loss: float | None
    ci90: Range | None
    verdict: str
    reason: str = ""
    made_at: str = ""
    params: float | None = None
    units: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What the one target run reached, held against the forecast."""

    loss: float
    loss_se: float | None
    params: float
    units: float
    error_percent: float | None
    inside: bool | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one part of the study took."""

    what: str
    runs: int
    flops: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PlanRow:
    """How one parameter is set: factors relative to the recipe (`ParameterPlan`, as JSON)."""

    name: str
    role: str
    shape: tuple[int, ...]
    init: float
    lr: float
    weight_decay: float
    eps: float


@dataclass(frozen=True, slots=True)
class StudyContent:
    """Everything a report shows of one study; parts that have not run are empty or None.

    Attributes:
        title: The study's name.
        unit: What training length is counted in: tokens, images or steps.
        metric: What is measured, such as `loss`.
        rule: The chosen parametrization rule; it comes first wherever rules stand side by side.
        optimizer: The optimizer's name.
        made_at: When the report was made, ISO 8601.
        sentences: What to set, what loss to expect, whether the target confirmed it and what it
            cost, in that order: the first thing a reader sees.
        next_command: The command to type next.
        sweeps: Learning rate against loss, under every rule tried.
        search: How a policy searched, where it wasn't by sweeps.
        check: The coordinate check by rule.
        transfer: Verdicts by rule, one an axis.
        law: The fitted law.
        forecast: What it said of the target.
        target: What the target run reached.
        cost: One row a part of the study.
        plan: One row a parameter of the target.
        environment: Versions, machine and settings that the numbers depend on.
        seeds: Every seed used.
        glossary: Words and their meanings.
    """

    title: str
    unit: str
    metric: str
    rule: str
    optimizer: str
    made_at: str
    sentences: tuple[Sentence, ...] = ()
    next_command: str = ""
    sweeps: tuple[Sweep, ...] = ()
    search: Searched | None = None
    check: dict[str, Check] = dataclasses.field(default_factory=dict)
    transfer: dict[str, tuple[AxisTransfer, ...]] = dataclasses.field(default_factory=dict)
    law: Law | None = None
    forecast: Forecast | None = None
    target: Target | None = None
    cost: tuple[Cost, ...] = ()
    plan: tuple[PlanRow, ...] = ()
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    glossary: tuple[tuple[str, str], ...] = GLOSSARY

    def to_json(self) -> dict[str, Any]:
        """The content as plain JSON values; `from_json` gives an equal content back."""
        text = json.dumps(dataclasses.asdict(self), allow_nan=False)
        return json.loads(text)  # type: ignore[no-any-return]

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> StudyContent:
        """Build the content from plain dicts, such as the study's JSON files hold.

        Keys this schema doesn't know are left aside, so a step's JSON can be passed as it is.

        Raises:
            WindtunnelError: A field is missing or of the wrong kind; the message gives its path.
        """
        try:
            return TypeAdapter(StudyContent).validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise WindtunnelError(
                f"report: {place}: {first['msg']}; a file in the study's folder is damaged or was "
                "written by another version: run the step that writes it again."
            ) from error

    @property
    def rules(self) -> tuple[str, ...]:
        """Every rule the content speaks of, the chosen one first."""
        others = {sweep.rule for sweep in self.sweeps} | set(self.check) | set(self.transfer)
        return (self.rule, *sorted(others - {self.rule}))
