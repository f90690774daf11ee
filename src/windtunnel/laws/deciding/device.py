"""Devices that people train on, with the source of each number."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from windtunnel.errors import WindtunnelError


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator.

    Attributes:
        key: As people type it.
        name: In full.
        flops_per_second: Peak dense BF16 (FP16 where there is no BF16), without sparsity.
        memory: Bytes.
        source: Of both numbers.
    """

    key: str
    name: str
    flops_per_second: float
    memory: float
    source: str


def device_named(key: str) -> Device:
    """The device of that name, in any case.

    Raises:
        WindtunnelError: It is not in `devices.toml`.
    """
    listed = tomllib.loads(
        resources.files(__package__).joinpath("devices.toml").read_text(encoding="utf-8")
    )
    plain = key.strip().lower()
    entry = listed.get(plain)
    if entry is None:
        raise WindtunnelError(f"gpu: no '{key}' is known; choose one of {', '.join(listed)}")
    return Device(plain, **entry)
