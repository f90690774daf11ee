"""How much memory a device has left for a run."""

from __future__ import annotations

from pathlib import Path

import torch

_KIBIBYTE = 1024


def available_memory(
    device: str,
    *,
    meminfo: Path = Path("/proc/meminfo"),
    limits: Path = Path("/sys/fs/cgroup"),
) -> int | None:
    """Bytes that a run may take on the device now.

    Args:
        device: `cpu`, `cuda` or `cuda:1`.
        meminfo: Where Linux says what new programs may take without swapping.
        limits: The folder in which a container's limit, `memory.max`, and what it has taken of
            it, `memory.current`, are stated (cgroup v2).

    Returns:
        Of a GPU, what no process has taken; of a CPU, the lesser of what the system and the
        container have left. None where the system doesn't say.
    """
    place = torch.device(device)
    if place.type == "cuda":
        free, _ = torch.cuda.mem_get_info(place)
        return int(free)
    found = [left for left in (_of_system(meminfo), _of_container(limits)) if left is not None]
    return min(found, default=None)


def _of_system(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    values = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return _KIBIBYTE * int(values[0]) if values else None


def _of_container(limits: Path) -> int | None:
    try:
        most = int((limits / "memory.max").read_text(encoding="ascii"))
        taken = int((limits / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or `max`: no limit
        return None
    return max(0, most - taken)
