"""Parametrization rules as data: one TOML file a rule, read and checked here."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from windtunnel.errors import WindtunnelError
from windtunnel.scale import NONE, Geometry, Powers, Role

BLOCK = "block"  # on top of its role, for a parameter inside the residual stack
BRANCH = "branch"  # on the output of each residual branch

Following = Literal["gradient", "one"]
Decay = Literal["independent", "sqrt", "one"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How one kind of parameter scales, in a rule's own gauge.

    Attributes:
        init: Standard deviation of the initialisation.
        multiplier: Forward multiplier on the layer's output.
        lr: Learning rate.
        weight_decay: Decay, coupled with the learning rate as in torch's AdamW.
        eps: What is added to the root of the second moment; for relative updates, the least size
            that they take the parameter to have.
    """

    init: Powers = NONE
    multiplier: Powers = NONE
    lr: Powers = NONE
    weight_decay: Powers = NONE
    eps: Powers = NONE

    def __mul__(self, other: Scaling) -> Scaling:
        """Apply both scalings."""
        return Scaling(
            *(getattr(self, f.name) * getattr(other, f.name) for f in dataclasses.fields(Scaling))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One parametrization rule, as its file states it.

    Learning rate, epsilon and decay are not in the file but follow from it for each geometry
    (`windtunnel.parametrization.derive`); `published` holds what a paper sets otherwise.

    Attributes:
        name: Name of its file; with its ending for a rule of one's own.
        title: What people call it.
        source: The paper and table.
        status: How sure we are of it.
        alignment: By role, the power of fan-in by which a layer's update adds up on its input: 1
            where they are aligned, 1/2 where not; None where one rate serves all layers.
        epsilon: `gradient` keeps it in proportion to each layer's gradient, `one` is the same
            for all.
        weight_decay: `independent` keeps rate times decay, `one` keeps the decay itself, `sqrt`
            lies between: the decay grows as the root of what `independent` asks for.
        attention: Power of the head size by which attention logits are multiplied on top of the
            model's own 1/sqrt(head size).
        clipping: The rule in whose gauge gradients are clipped, so that all gauges of one function
            clip alike; None for this one's own.
        branch: Each residual branch is divided by depth to this power; None leaves depth alone.
        block_rates: Whether rates inside the residual stack follow the depth.
        block_decay: Whether decay there follows those rates, so that rate times decay stays.
        layers: By role, init and multiplier.
        published: By geometry and role, quantities that the paper sets and no derivation gives.
        content: What a file of one's own says, as JSON, so that runs and plans can carry it; None
            for a rule that Windtunnel has. Texts are left out: they change no number.
    """

    name: str
    title: str
    source: str
    status: str
    alignment: Mapping[Role, float] | None
    epsilon: Following
    weight_decay: Decay
    attention: float
    clipping: str | None
    branch: float | None
    block_rates: bool
    block_decay: bool
    layers: Mapping[Role, Scaling] = field(repr=False)
    published: Mapping[tuple[Geometry, Role], Mapping[str, Powers]] = field(repr=False)
    content: str | None = field(default=None, repr=False)

    def scaling(self, geometry: Geometry, kind: Role | str) -> Scaling:
        """How a role scales, or what is added for a `block` or `branch`."""
        from windtunnel.parametrization.derive import derive

        return derive(self, geometry, kind)


def rule_names() -> tuple[str, ...]:
    """The rules there are, sorted."""
    names = (file.name for file in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_rule(name: str, content: str | None = None) -> Rule:
    """Read a rule's file.

    Args:
        name: A rule of `rule_names()`, or the path of a TOML file of one's own.
        content: What that file said when it was read before, as `Rule.content` has it: the file
            itself may have changed since, or lie on another machine.

    Raises:
        WindtunnelError: There is no rule of that name, or the file is no rule.
    """
    if content is not None:
        return _rule(name, json.loads(content), content)
    if not name.endswith(".toml"):
        return _known(name)
    entries = _content(name)
    texts = dict.fromkeys(_TEXTS, "")
    kept = json.dumps({**entries, **texts}, sort_keys=True, default=str)  # a date, refused below
    return dataclasses.replace(_rule(name, entries), name=Path(name).name, content=kept)


@cache
def _known(name: str) -> Rule:
    return _rule(name, _content(name))


_TEXTS = ("title", "source", "status")
_KEYS = (
    *_TEXTS,
    "rates",
    "epsilon",
    "weight_decay",
    "attention",
    "clipping",
    "depth",
    "layers",
    "published",
)
# Full: updates and inputs point the same way, so their products add up as fan-in; none: they add
# up as its root (Everett et al. 2024, arXiv 2407.05872, section 3).
_ALIGNMENTS = {"full": 1.0, "none": 0.5}


def _content(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """A rule's own entries over those of the rule that it extends.

    Args:
        name: As for `load_rule`.
        above: The rules that extend this one.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise WindtunnelError(f"rule: there is no file {name} (seen from {Path.cwd()})")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WindtunnelError(f"rule {name}: cannot be read ({error})") from error
    elif name in rule_names():
        text = (_folder() / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise WindtunnelError(f"rule: no rule '{name}'; known rules: {', '.join(rule_names())}")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WindtunnelError(f"rule {name}: {error}") from error
    parent = content.pop("extends", None)
    if parent is None:
        return content
    if not isinstance(parent, str) or parent in (name, *above):
        raise WindtunnelError(f"rule {name}: extends '{parent}', which is itself or no rule's name")
    return _merged(_content(parent, (name, *above)), content)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    return below | {
        key: _merged(below[key], value)
        if isinstance(value, dict) and isinstance(below.get(key), dict) and key in _NESTED
        else value
        for key, value in above.items()
    }


# Merged entry by entry with the rule that is extended; anything else replaces what that one has.
_NESTED = {"layers", "published", "depth", *(str(geometry) for geometry in Geometry)}


def _rule(name: str, content: dict[str, Any], carried: str | None = None) -> Rule:
    def refuse(what: str) -> WindtunnelError:
        return WindtunnelError(f"rule {name}: {what}")

    for key in _TEXTS:
        if not isinstance(content.get(key), str):
            raise refuse(f"'{key}' is missing; say it in a few words")
    unknown = sorted(set(content) - set(_KEYS))
    if unknown:
        raise refuse(f"'{unknown[0]}' is no entry of a rule; there are {', '.join(_KEYS)}")
    depth = content.get("depth", {})
    clipping = content.get("clipping")
    try:
        for key in depth:
            _one_of(key, ("branch", "rates", "decay"))
        if clipping is not None:
            _one_of(clipping, rule_names())
        return Rule(
            name=name,
            **{key: content[key] for key in _TEXTS},
            alignment=_alignment(content.get("rates", "full")),
            epsilon=_one_of(content.get("epsilon", "gradient"), ("gradient", "one")),
            weight_decay=_one_of(
                content.get("weight_decay", "independent"), ("independent", "sqrt", "one")
            ),
            attention=float(content.get("attention", 0.0)),
            clipping=clipping,
            branch=None if "branch" not in depth else float(depth["branch"]),
            block_rates=bool(depth.get("rates", True)),
            block_decay=bool(depth.get("decay", False)),
            layers={
                Role(role): Scaling(
                    **{
                        _one_of(key, ("init", "multiplier")): _powers(powers)
                        for key, powers in entry.items()
                    }
                )
                for role, entry in content.get("layers", {}).items()
            },
            published={
                (Geometry(geometry), Role(role)): {
                    _one_of(key, ("lr", "weight_decay", "eps")): _powers(powers)
                    for key, powers in entry.items()
                }
                for geometry, entries in content.get("published", {}).items()
                for role, entry in entries.items()
            },
            content=carried,
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise refuse(str(error)) from error


def _alignment(rates: Any) -> dict[Role, float] | None:
    """`full`, `none`, `one`, or measured numbers by role."""
    if rates == "one":
        return None
    if isinstance(rates, str):
        return dict.fromkeys(Role, _ALIGNMENTS[_one_of(rates, tuple(_ALIGNMENTS))])
    measured = {Role(role): float(value) for role, value in rates.items()}
    for role, value in measured.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"rates.{role} is {value}; alignments lie between 0 and 1")
    return dict.fromkeys(Role, _ALIGNMENTS["full"]) | measured


def _powers(entry: dict[str, Any]) -> Powers:
    return Powers(**{axis: float(power) for axis, power in entry.items()})


def _one_of(value: Any, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise ValueError(f"'{value}' is not one of {', '.join(known)}")
    return value


def _folder() -> Traversable:
    return resources.files("windtunnel.parametrization") / "rules"
