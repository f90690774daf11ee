"""Trials on a Ray cluster; needs the extra `ray`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from windtunnel.errors import WindtunnelError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class RayPool(Executor):
    """Hands every trial to the cluster that `ray.init` was connected to.

    A trial whose node or process dies is begun again on another, as often as it takes: what an
    objective computes is a function of its arguments, so doing it twice changes nothing. An error
    of the objective's own is no death, and is raised.

    Args:
        cpus: Cores that one trial takes.
        gpus: GPUs that one trial takes.

    Raises:
        WindtunnelError: Ray is missing, or not connected to a cluster.
    """

    def __init__(self, *, cpus: float = 1, gpus: float = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise WindtunnelError(
                "ray: it is not installed; pip install 'windtunnel[ray]'"
            ) from error
        if not ray.is_initialized():
            raise WindtunnelError(
                "ray: this process is connected to no cluster; call ray.init() first (with "
                "address='auto' on a machine of the cluster)"
            )
        self._run: Any = ray.remote(_call).options(num_cpus=cpus, num_gpus=gpus, max_retries=-1)

    def submit(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Begin a call on the cluster, once it has room."""
        future: Future[_T] = self._run.remote(function, args, kwargs).future()
        return future

    def shutdown(self, wait: bool = True, **options: Any) -> None:
        """Nothing to do: the cluster is the user's."""


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)
