"""A policy that tries values, made into one that decides on a study's runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from windtunnel.scale import Run
from windtunnel.search.policy import Answer, Budget, Decision, Policy, Stop
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial


class Translation(Protocol):
    """Between a policy's trials and a study's runs."""

    def run_of(self, trial: Trial) -> Run:
        """What is trained for a trial, whole and from its beginning."""
        ...

    def trial_of(self, run: Run) -> Trial:
        """The trial that a run was made for, but for what it continues."""
        ...


class TrialRuns:
    """Carries a policy's trials out as runs of a study.

    A run is always trained whole, with its schedule at its end, so that runs of all lengths are
    told apart by what they reached and not by where their schedule stood. A promoted trial
    therefore begins anew at its greater length: with halving by 3 a bracket costs up to half as
    much again, and each of its runs counts for laws.

    Args:
        policy: Decides on trials.
        translation: Makes runs of them, and trials of runs.
        known: Runs that the policy sees before its own, with their results.
    """

    def __init__(
        self, policy: Policy[Trial], translation: Translation, known: Sequence[Row[Run]] = ()
    ) -> None:
        self._policy = policy
        self._translation = translation
        self._known = tuple(known)

    @property
    def asynchronous(self) -> bool:
        """As the policy is."""
        return self._policy.asynchronous

    def next(self, table: Table[Run], budget: Budget, seed: int) -> Answer[Run]:
        """The policy's decisions, as runs."""
        answer = self._policy.next(self.trials(table), budget, seed)
        if isinstance(answer, Stop):
            return answer
        run_of = self._translation.run_of
        return [Decision(run_of(decision.run), decision.purpose) for decision in answer]

    def trials(self, table: Table[Run]) -> tuple[Row[Trial], ...]:
        """The table as the policy sees it: what was known, then its own."""
        found: list[Row[Trial]] = []
        latest: dict[Trial, Row[Trial]] = {}
        for number, row in enumerate((*self._known, *table)):
            trial = self._translation.trial_of(row.run)
            alike = dataclasses.replace(trial, fidelity=None)
            before = latest.get(alike)
            if before is not None and _shorter(before.run, trial):
                trial = dataclasses.replace(trial, continues=before.number)
            found.append(
                Row(number, trial, row.purpose, row.state, row.loss, row.loss_se, row.error)
            )
            latest[alike] = found[-1]
        return tuple(found)


def _shorter(first: Trial, second: Trial) -> bool:
    return (
        first.fidelity is not None
        and second.fidelity is not None
        and (first.fidelity < second.fidelity)
    )
