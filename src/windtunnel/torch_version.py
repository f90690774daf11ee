"""The run-time check of PyTorch: the package states no bound, so that pip never replaces it."""

from __future__ import annotations

import re

from windtunnel.errors import WindtunnelError

OLDEST = (2, 4)  # the first with F.rms_norm and with fused AdamW on CPUs


def require_torch() -> None:
    """Make sure that a usable PyTorch is installed.

    Raises:
        WindtunnelError: PyTorch is missing, or older than `OLDEST`.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise WindtunnelError(
            "torch: this step trains, and needs PyTorch, which is not installed; "
            "run: pip install 'windtunnel[train]'"
        ) from error
    found = str(torch.__version__)
    match = re.match(r"(\d+)\.(\d+)", found)
    if match is not None and (int(match[1]), int(match[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise WindtunnelError(
            f"torch: version {found} is too old; windtunnel needs {oldest} or newer: upgrade "
            "PyTorch the way it was installed (see pytorch.org)"
        )
