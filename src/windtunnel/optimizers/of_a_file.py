"""An optimizer of the user's own: `path/to/file.py:NAME`."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.method import OptimizerMethod


def is_of_a_file(name: str) -> bool:
    """Whether an optimizer's name is a Python file's and what is in it."""
    return ".py:" in name


@cache
def method_of_a_file(name: str) -> OptimizerMethod:
    """Run the file, once in a process, and take the method out of it.

    Args:
        name: The file's path and the name in it of an `OptimizerMethod`, with a colon between.

    Raises:
        WindtunnelError: The file can't be run, or has no method of that name.
    """
    path, _, attribute = name.rpartition(":")
    specification = importlib.util.spec_from_file_location(f"_method_{Path(path).stem}", path)
    if specification is None or specification.loader is None or not Path(path).is_file():
        raise WindtunnelError(f"optimizer: {path}: no such file")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise WindtunnelError(
            f"optimizer: {path} can't be run: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, OptimizerMethod):
        raise WindtunnelError(
            f"optimizer: {path} has no OptimizerMethod called '{attribute}'; see "
            "windtunnel.optimizers.OptimizerMethod"
        )
    return found
