"""Which devices there are, and how many workers they carry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch

from windtunnel.errors import WindtunnelError


def resolve_device(device: str) -> str:
    """Turn `auto` into `cuda` where a GPU is visible and `cpu` elsewhere; check any other name.

    Raises:
        WindtunnelError: The device is not there.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if gpus else "cpu"
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= gpus:
        raise WindtunnelError(
            f"device: no {device} here (PyTorch sees {gpus} GPUs); use `device: auto`."
        )
    return device


def worker_devices(device: str, workers: int | Literal["auto"]) -> list[str]:
    """The device of each worker process.

    Args:
        device: `auto`, `cpu`, `cuda` or one GPU such as `cuda:1`.
        workers: How many; `auto` is one a visible GPU, or one a core this process may use.

    Returns:
        One device a worker; more workers than GPUs share them in turn.
    """
    device = resolve_device(device)
    if device == "cpu":
        devices = ["cpu"] * usable_cores()
    elif device == "cuda":
        devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    else:
        devices = [device]
    count = len(devices) if workers == "auto" else workers
    return [devices[index % len(devices)] for index in range(count)]


def usable_cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores this process may keep busy: a scheduler or a container may allow fewer than there are.

    Args:
        quota_file: Where a Linux container states its quota and the period it is for.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or `max`: no quota
        return cores


@contextlib.contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Compute with this many CPU threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
