"""Which runs a worker trains at once: what was timed, remembered for what it was timed on."""

from __future__ import annotations

from typing import Any, Literal

from windtunnel.scale import Run

MOST = 64  # more gain little more on any device, and a stop writes a checkpoint of each
# Timing a choice takes about so many steps of one run, and so many more for each member. On a CPU,
# where a population gains little, that may be one step in twenty of those it is timed for.
_SINGLE_STEPS = 100
_STEPS_A_MEMBER = 12
_SHARE = 20


def allowed(population: Literal["auto", "timed", "never"], device: str) -> bool:
    """Whether the study lets runs be trained at once on a device."""
    on_cpu = device.partition(":")[0] == "cpu"
    return population == "timed" or (population == "auto" and not on_cpu)


class Pools:
    """How many runs of each kind are worth training at once on one device.

    A kind is everything that decides the time of a step, but for the number of members. Timed at
    one number, a population that pays is taken to pay for more members, and one that doesn't not
    to pay for less than twice as many.

    Args:
        device: The torch device.
    """

    def __init__(self, device: str) -> None:
        self._on_cpu = device.partition(":")[0] == "cpu"
        self._pays: dict[Any, int] = {}
        self._least: dict[Any, int] = {}
        self._most: dict[Any, int] = {}

    def least(self, run: Run) -> int:
        """How many runs it takes for a population of them to be worth trying."""
        kind = _kind(run)
        untimed = max(self._least.get(kind, 2), _worth_timing(run.steps) if self._on_cpu else 2)
        return min(untimed, self._pays.get(kind, untimed))

    def most(self, run: Run) -> int:
        """How many runs may be trained at once; less than `least` where they never are."""
        return self._most.get(_kind(run), MOST)

    def known_to_pay(self, run: Run, members: int) -> bool:
        """Whether so many need not be timed."""
        return members >= self._pays.get(_kind(run), MOST + 1)

    def pays(self, run: Run, members: int) -> None:
        """Timing has chosen a population of so many."""
        self._pays[_kind(run)] = min(members, self._pays.get(_kind(run), members))

    def does_not_pay(self, run: Run, members: int) -> None:
        """Timing hasn't chosen a population of so many."""
        self._least[_kind(run)] = 2 * members

    def too_many(self, run: Run, members: int) -> None:
        """The device has no room for so many."""
        self._most[_kind(run)] = members // 2

    def never(self, run: Run) -> None:
        """Training such runs at once has failed."""
        self._most[_kind(run)] = 1


def _worth_timing(steps: int) -> int:
    """The least number of runs of so many steps whose training is long beside timing a choice."""
    left = steps - _SHARE * _STEPS_A_MEMBER
    return max(2, -(-_SHARE * _SINGLE_STEPS // left)) if left > 0 else MOST + 1


def _kind(run: Run) -> Any:
    return (
        *(run.family, run.family_options, run.optimizer, run.scale, run.precision),
        *(run.recipe.batch_units, run.data.sequence_length),
    )
