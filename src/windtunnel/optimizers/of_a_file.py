"""An optimizer of the user's own: `path/to/file.py:NAME`."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.python_file import object_of_a_file


def method_of_a_file(name: str) -> OptimizerMethod:
    """Run the file, once in a process, and take the method out of it.

    Args:
        name: The file's path and the name in it of an `OptimizerMethod`, with a colon between.

    Raises:
        WindtunnelError: The file can't be run, or has no method of that name.
    """
    found = object_of_a_file(name, "optimizer")
    if not isinstance(found, OptimizerMethod):
        path, _, attribute = name.rpartition(":")
        raise WindtunnelError(
            f"optimizer: {path} has no OptimizerMethod called '{attribute}'; see "
            "windtunnel.optimizers.OptimizerMethod"
        )
    return found
