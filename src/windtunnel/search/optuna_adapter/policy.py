"""Optuna's samplers as policies on our contract."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.search.optuna_adapter.library import optuna_library, quiet_optuna
from windtunnel.search.optuna_adapter.space import distributions
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial

MakeSampler = Callable[[int], Any]


def sampler_named(name: str) -> MakeSampler:
    """Makes one of Optuna's samplers, with its own defaults, from a seed.

    Raises:
        WindtunnelError: Optuna is missing, or the name is none of `tpe`, `gp`, `cma-es`, `qmc`
            and `random`.
    """
    samplers = optuna_library().samplers
    makers: dict[str, MakeSampler] = {
        "tpe": lambda seed: samplers.TPESampler(seed=seed),
        "gp": lambda seed: samplers.GPSampler(seed=seed, deterministic_objective=False),
        "cma-es": lambda seed: samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
        "qmc": lambda seed: samplers.QMCSampler(
            seed=seed, scramble=True, warn_independent_sampling=False
        ),
        "random": lambda seed: samplers.RandomSampler(seed=seed),
    }
    if name not in makers:
        raise WindtunnelError(f"optuna: no sampler '{name}'; choose from {', '.join(makers)}")
    return makers[name]


class OptunaPolicy:
    """Asks one of Optuna's samplers for every decision.

    Samplers draw random numbers and some (CMA-ES) keep a state, so that what they propose depends
    on everything asked and told before. Here decision k is asked for when exactly the results of
    decisions up to k - `parallel` have been told, in their order: whatever more is known, and when
    it came, changes nothing. So every decision can be made again from the table and the seed.

    A diverged run is told as infinitely bad, a failed one as failed.

    Args:
        space: What is searched; without conditions.
        sampler: Its name (`sampler_named`), or what makes it from a seed.
        trials: How many trials are decided on. Values that were tried before are tried with
            another seed.
        parallel: So many may be open at once.
        fidelity: How long each is trained; None where the objective has no length.
    """

    asynchronous = False

    def __init__(
        self,
        space: Space,
        *,
        trials: int,
        sampler: str | MakeSampler = "tpe",
        parallel: int = 1,
        fidelity: float | None = None,
    ) -> None:
        self._distributions = distributions(space)
        self._make_sampler = sampler_named(sampler) if isinstance(sampler, str) else sampler
        self._trials = trials
        self._parallel = parallel
        self._fidelity = fidelity
        self._replay: _Replay | None = None

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """One decision, once the results it rests on are there."""
        number = len(table)
        if number >= self._trials:
            return Stop(f"all {self._trials} trials are decided")
        if budget.spent:
            return Stop(budget.spent)
        if any(not row.done for row in table[: self._known_at(number)]):
            return []
        with quiet_optuna() as optuna:
            replay = self._replay
            if replay is None or not replay.leads_to(table, seed):
                sampler = self._make_sampler(seed)
                study = optuna.create_study(sampler=sampler, direction="minimize")
                replay = self._replay = _Replay(study, seed)
            while len(replay.runs) <= number:
                self._ask(optuna, replay, table)
        return [Decision(replay.runs[number], f"{self._sampler_name(replay)}: trial {number}")]

    def _known_at(self, number: int) -> int:
        return max(0, number - self._parallel + 1)

    def _ask(self, optuna: Any, replay: _Replay, table: Table[Trial]) -> None:
        for row in table[len(replay.told) : self._known_at(len(replay.runs))]:
            trial = replay.asked[len(replay.told)]
            if row.state == "failed":
                replay.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                replay.study.tell(trial, math.inf if row.loss is None else row.loss)
            replay.told.append((row.state, row.loss))
        trial = replay.study.ask(self._distributions)
        values = tuple(trial.params.items())
        repeats = replay.seen.setdefault(values, 0)
        replay.seen[values] += 1
        replay.asked.append(trial)
        replay.runs.append(
            Trial.of(dict(values), fidelity=self._fidelity, seed=replay.seed + repeats)
        )

    @staticmethod
    def _sampler_name(replay: _Replay) -> str:
        return type(replay.study.sampler).__name__


@dataclass
class _Replay:
    """What one sampler has been asked and told so far."""

    study: Any
    seed: int
    asked: list[Any] = field(default_factory=list)
    runs: list[Trial] = field(default_factory=list)
    told: list[tuple[str, float | None]] = field(default_factory=list)
    seen: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def leads_to(self, table: Table[Trial], seed: int) -> bool:
        """Whether the table begins with what was asked and told here, and holds all but the last.

        The last decision may not be in the table yet: then it is asked for again.
        """
        known: list[Row[Trial]] = list(table)
        return (
            seed == self.seed
            and len(self.runs) <= len(known) + 1
            and len(self.told) <= len(known)
            and all(row.run == run for row, run in zip(known, self.runs, strict=False))
            and all(
                (row.state, row.loss) == result
                for row, result in zip(known, self.told, strict=False)
            )
        )
