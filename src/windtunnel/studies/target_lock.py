"""Keeps `torchrun -m windtunnel.train` and `windtunnel train` from training one target at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from windtunnel.errors import WindtunnelError
from windtunnel.studies.study import Study


@contextmanager
def target_held(study: Study) -> Iterator[None]:
    """Hold the study's target for this process, which is to train it with our own loop.

    The lock is the operating system's: a process that dies, however it does, leaves none behind.

    Raises:
        WindtunnelError: Another process holds it.
    """
    from filelock import FileLock, Timeout  # it comes with torch

    lock = FileLock(study.folder / ".target.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise WindtunnelError(
            f"study {study.folder}: another process trains its target now; wait until it has "
            "finished, or stop it (it writes a checkpoint, and the next one goes on from there)."
        ) from None
    try:
        yield
    finally:
        lock.release()
