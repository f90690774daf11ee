"""What a policy may propose: anything with a key; and a trial of any function."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

Value: TypeAlias = float | int | str | bool


class Proposal(Protocol):
    """What a decision is about: hashable, equal to its like, and named by a key.

    `windtunnel.scale.Run` is one, `Trial` another.
    """

    @property
    def key(self) -> str:
        """Names its content: equal for equal proposals, different for different ones."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values of its content."""
        ...

    def __hash__(self) -> int:
        """Of its content."""
        ...


P = TypeVar("P", bound=Proposal)


@dataclass(frozen=True, slots=True)
class Trial:
    """Some values tried at some length.

    Attributes:
        items: Names and values of the hyperparameters, by name; see `Trial.of`.
        fidelity: How long it is trained in all, in the study's unit, the part that it continues
            included; None where the objective has no length.
        seed: Of everything random in the objective.
        continues: Number of the earlier decision whose state this one goes on from; None to start
            afresh.
    """

    items: tuple[tuple[str, Value], ...]
    fidelity: float | None = None
    seed: int = 0
    continues: int | None = None

    @staticmethod
    def of(
        values: Mapping[str, Value],
        *,
        fidelity: float | None = None,
        seed: int = 0,
        continues: int | None = None,
    ) -> Trial:
        """The trial of these values, whatever their order."""
        return Trial(tuple(sorted(values.items())), fidelity, seed, continues)

    @property
    def values(self) -> dict[str, Value]:
        """The hyperparameters."""
        return dict(self.items)

    @property
    def key(self) -> str:
        """32 hexadecimal digits: the SHA-256 of the trial's canonical JSON, cut."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal trial back."""
        return {
            "values": dict(self.items),
            "fidelity": self.fidelity,
            "seed": self.seed,
            "continues": self.continues,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Trial:
        """Rebuild a trial from `to_json`'s value."""
        return Trial.of(
            value["values"],
            fidelity=value["fidelity"],
            seed=value["seed"],
            continues=value["continues"],
        )
