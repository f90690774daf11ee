"""Call the function that is tuned, here or in other processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any, ParamSpec, TypeAlias, TypeVar

from windtunnel.errors import WindtunnelError
from windtunnel.search.trial import Trial

# Called with the values by name, and `fidelity` where there is one, and `seed`.
TunedFunction: TypeAlias = Callable[..., float]
_P = ParamSpec("_P")
_T = TypeVar("_T")


def loss_of(objective: TunedFunction, trial: Trial) -> float:
    """The loss of one trial; infinite where arithmetic fails."""
    length = {} if trial.fidelity is None else {"fidelity": trial.fidelity}
    try:
        return float(objective(**trial.values, **length, seed=trial.seed))
    except ArithmeticError:
        return math.inf


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
