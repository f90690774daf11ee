"""Which processes belong to a run, and what memory they hold. Linux tells; elsewhere nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_PROC = Path("/proc")
_LONGEST_END = 3.0  # seconds


def descendants(pid: int) -> list[int]:
    """All processes below one, its children first."""
    children: dict[int, list[int]] = {}
    for process in _processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # After the name, which may hold anything: state, parent, ...
            fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(process.name))
    found: list[int] = []
    ahead = [pid]
    while ahead:
        below = children.get(ahead.pop(0), [])
        found += below
        ahead += below
    return found


def with_variable(name: str, value: str) -> list[int]:
    """Processes of this user that were started with this environment variable, but for this one."""
    wanted = f"{name}={value}".encode()
    found = []
    for process in _processes():
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory that the processes hold together; what they share counts for each."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages += int((_PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def own_bytes(pids: Iterable[int]) -> int:
    """Memory that would be free without the processes: what they share counts once, files don't.

    Where the kernel doesn't tell that of a process, all that it has resident counts.
    """
    total = 0
    for pid in pids:
        fields: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
                name, _, amount = line.partition(":")
                fields[name] = int(amount.split()[0]) * 1024
        if {"Pss_Anon", "Pss_Shmem"} <= set(fields):
            total += fields["Pss_Anon"] + fields["Pss_Shmem"]
        else:
            total += resident_bytes([pid])
    return total


def end_all(name: str, value: str) -> None:
    """End every process with the environment variable, and those they start meanwhile.

    A program that rewrites its own environment isn't found.
    """
    deadline = time.monotonic() + _LONGEST_END
    while (found := with_variable(name, value)) and time.monotonic() < deadline:
        kill(found)
        time.sleep(0.01)


def kill(pids: Iterable[int]) -> None:
    """End processes at once; those that have ended by themselves are no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[Path]:
    if _PROC.is_dir():
        yield from (path for path in _PROC.iterdir() if path.name.isdigit())
