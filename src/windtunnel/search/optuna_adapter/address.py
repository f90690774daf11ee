"""Addresses of Optuna studies: `optuna:URL` or `optuna:URL#NAME`."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError

PREFIX = "optuna:"


def is_optuna(address: str) -> bool:
    """Whether an address is meant for Optuna."""
    return address.startswith(PREFIX)


def parse_address(address: str) -> tuple[str, str | None]:
    """The storage's URL, and the study's name where one is given.

    Raises:
        WindtunnelError: It is not `optuna:URL`.
    """
    url, _, name = address.removeprefix(PREFIX).partition("#")
    if not is_optuna(address) or "://" not in url:
        raise WindtunnelError(
            f"{address}: not an Optuna storage; write optuna:sqlite:///optuna.db, with #NAME "
            "behind it where the storage holds several studies"
        )
    return url, name or None
