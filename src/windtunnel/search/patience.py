"""Waiting for a database server that is away, instead of giving up a search for its sake."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from windtunnel.errors import WindtunnelError

AWAY_SECONDS = 600.0  # how long a server may be away before anyone gives up
_LOOK_SECONDS = 0.2
_A = ParamSpec("_A")
_R = TypeVar("_R")


class DatabaseAwayError(WindtunnelError):
    """The database server can't be reached at the moment."""


def patiently(method: Callable[_A, _R]) -> Callable[_A, _R]:
    """Do something again while a database server is away; it has to bear being done twice."""

    @functools.wraps(method)
    def done(*args: _A.args, **kwargs: _A.kwargs) -> _R:
        until = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return method(*args, **kwargs)
            except DatabaseAwayError:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOOK_SECONDS)

    return done
