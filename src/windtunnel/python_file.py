"""What a Python file of the user's own holds, by `path/to/file.py:NAME`."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from windtunnel.errors import WindtunnelError


def split_name(name: str) -> tuple[str, str] | None:
    """The file's path and what is looked for in it; None if this is no such name."""
    path, found, attribute = name.rpartition(":")
    return (path, attribute) if found and path.endswith(".py") else None


@cache
def object_of_a_file(name: str, place: str) -> object:
    """Run the file, once in a process, and take something out of it.

    Args:
        name: The file's path and the name in it, with a colon between.
        place: What asks for it, for messages: `optimizer`, `run.model`.

    Raises:
        WindtunnelError: The file isn't there, can't be run, or has nothing of that name.
    """
    path, attribute = split_name(name) or ("", name)
    specification = importlib.util.spec_from_file_location(f"_own_{Path(path).stem}", path)
    if specification is None or specification.loader is None or not Path(path).is_file():
        raise WindtunnelError(f"{place}: {path or name}: no such file")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise WindtunnelError(
            f"{place}: {path} can't be run: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        raise WindtunnelError(f"{place}: {path} has no '{attribute}'")
    return getattr(module, attribute)
