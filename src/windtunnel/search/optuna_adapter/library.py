"""Optuna itself, imported only when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from windtunnel.errors import WindtunnelError


def optuna_library() -> Any:
    """The module `optuna`.

    Raises:
        WindtunnelError: It isn't installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise WindtunnelError(
            "optuna: not installed; run: pip install 'windtunnel[optuna]'"
        ) from error
    return optuna


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """Optuna without its lines about every trial, which go to stderr by default."""
    optuna = optuna_library()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)
