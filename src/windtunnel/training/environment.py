"""What a run ran on: enough to tell whether a resumed run repeats the same bits."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

# Each of these can change the last bit of a loss.
DECISIVE = (
    "device",
    "cpu",
    "instructions",
    "threads",
    "precision",
    "torch",
    "python",
    "ranks",
    "tensor",
    "sharding",
    "micro_batch",
    "compiled",
)


def describe_environment(device: torch.device, threads: int, precision: str) -> dict[str, Any]:
    """Describe the machine and the software, as plain JSON values.

    Args:
        device: Where the model is trained.
        threads: CPU threads a step uses.
        precision: `fp32`, or `bf16` for autocast.
    """
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu": cpu_model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "precision": precision,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name what differs between two environments and can change a loss, as `threads 1 -> 2`."""
    return [
        f"{name} {before.get(name)} -> {now.get(name)}"
        for name in DECISIVE
        if before.get(name) != now.get(name)
    ]


def cpu_model() -> str:
    """The processor's marketing name where the system tells, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
