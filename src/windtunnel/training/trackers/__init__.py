"""Trackers by name: optional loggers of a run's numbers, each with a package of its own.

A tracker's settings are its package's own environment variables (`MLFLOW_TRACKING_URI`,
`WANDB_MODE`, ...). Where nobody set them, everything stays on this machine, in the run's folder.
"""

from __future__ import annotations

from collections.abc import Callable

from windtunnel.errors import WindtunnelError
from windtunnel.training.trackers.guarded import GuardedTracker
from windtunnel.training.trackers.tracker import Tracker

__all__ = ["Tracker", "open_tracker", "tracker_names"]


def _tensorboard() -> Tracker:
    from windtunnel.training.trackers.tensorboard import TensorBoardTracker

    return TensorBoardTracker()


def _mlflow() -> Tracker:
    from windtunnel.training.trackers.mlflow import MLflowTracker

    return MLflowTracker()


def _wandb() -> Tracker:
    from windtunnel.training.trackers.wandb import WandbTracker

    return WandbTracker()


_TRACKERS: dict[str, Callable[[], Tracker]] = {
    "mlflow": _mlflow,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}


def tracker_names() -> tuple[str, ...]:
    """The trackers there are, sorted."""
    return tuple(sorted(_TRACKERS))


def open_tracker(name: str) -> Tracker:
    """A tracker for one run, which never stops it: after its first failure it is switched off.

    Args:
        name: One of `tracker_names`.

    Raises:
        WindtunnelError: There is none of that name, or its package is not installed.
    """
    if name not in _TRACKERS:
        known = ", ".join(tracker_names())
        raise WindtunnelError(f"training.trackers: no tracker '{name}'; known trackers: {known}")
    try:
        return GuardedTracker(name, _TRACKERS[name]())
    except ImportError as error:
        raise WindtunnelError(
            f"training.trackers: '{name}' needs a package that can't be imported ({error}); "
            f"install it with: pip install 'windtunnel[{name}]'"
        ) from error
