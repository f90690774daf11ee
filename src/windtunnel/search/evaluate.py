"""Call the function that is tuned, here or in other processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

from windtunnel.errors import WindtunnelError
from windtunnel.search.trial import Trial

# Called with the values by name, and `fidelity` where there is one, and `seed`.
TunedFunction: TypeAlias = Callable[..., float]
_P = ParamSpec("_P")
_T = TypeVar("_T")


def loss_of(objective: TunedFunction, trial: Trial, states: Path | None, number: int) -> float:
    """The loss of one trial; infinite where arithmetic fails.

    Args:
        objective: Called with the trial's values, its fidelity if it has one, and its seed; with
            `states` also with `state`, a folder of its own, and `continues`, that of the trial it
            goes on from or None.
        trial: What is tried.
        states: Where trials keep their states, if they do.
        number: The trial's.
    """
    told: dict[str, Any] = {} if trial.fidelity is None else {"fidelity": trial.fidelity}
    if states is not None:
        before = None if trial.continues is None else _folder(states, trial.continues)
        told |= {"state": _folder(states, number), "continues": before}
        told["state"].mkdir(parents=True, exist_ok=True)
    try:
        return float(objective(**trial.values, **told, seed=trial.seed))
    except ArithmeticError:
        return math.inf


def loss_of_history(
    objective: TunedFunction, history: Sequence[Trial], states: Path | None
) -> float:
    """The loss at the end of trials that each go on from the one before.

    Args:
        objective: As for `loss_of`.
        history: The first begins afresh.
        states: Where these keep their states; without, the last is tried alone, from its beginning.
    """
    loss = math.inf
    for number, trial in enumerate(history if states is not None else history[-1:]):
        before = number - 1 if number else None
        loss = loss_of(objective, replace(trial, continues=before), states, number)
        if not math.isfinite(loss):
            break
    return loss


def _folder(states: Path, number: int) -> Path:
    return states / f"{number:06d}"


def executor_of(objective: TunedFunction, workers: int) -> Executor:
    """Where trials are carried out: in this process for one worker, else in as many others.

    Each of these has one thread for its arithmetic: more than there are cores make all of them
    many times slower.

    Raises:
        WindtunnelError: The function can't be sent to another process.
    """
    if workers == 1:
        return _Here()
    try:
        pickle.dumps(objective)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise WindtunnelError(
            f"tune: other processes can't be given this objective ({error}); define it at the top "
            "of a module, or use workers=1"
        ) from error
    return ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_one_thread
    )


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


class _Here(Executor):
    """Carries out at once what is submitted."""

    def submit(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        future: Future[_T] = Future()
        future.set_result(function(*args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, **options: Any) -> None:
        pass
