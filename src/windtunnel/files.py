"""Write files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from windtunnel.errors import WindtunnelError


def write_atomically(path: Path, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write `content` to a temporary neighbour of `path`, flush it to disk, then rename it.

    Args:
        path: The file to create or replace; its folder is created if needed.
        content: Bytes, text (written as UTF-8), or a function that writes to the open file.

    Raises:
        WindtunnelError: The disk is full or the folder can't be written. Whatever `path` held
            before is untouched and the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # tidying up must not hide the failure above
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; non-finite numbers are refused."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _explained(path: Path, error: OSError) -> WindtunnelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WindtunnelError(
            f"{path}: no space left on the disk. Nothing was lost: free some space and run the "
            "same command again."
        )
    return WindtunnelError(f"{path}: cannot be written ({error.strerror}).")
