"""What a run came to; the file `result.json` that makes finishing idempotent."""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of one run; a diverged run is a result too.

    Attributes:
        key: Key of the run.
        status: `diverged` if a training loss or the validation loss was not finite.
        loss: Mean validation loss (nats a token for text); None if the run diverged.
        loss_se: Its standard error over validation sequences; None for fewer than two.
        units: Units trained on (tokens for text), until the run ended.
        steps: Optimizer steps taken.
        flops: Training FLOPs of those units, as the family counts them.
        params: All parameters.
        params_non_embedding: The N of every law: all but the input embedding table.
        seconds: Wall-clock time spent on building, training and validating, over all sessions.
        exact: False if it was resumed where bit-identical losses are not promised.
        environment: What the last session ran on.
        skipped: Steps whose update was passed over, each with the reason.
        utilisation: How much of the device the last session's steps used, and how it was counted;
            see `windtunnel.training.utilisation`.
    """

    key: str
    status: Literal["finished", "diverged"]
    loss: float | None
    loss_se: float | None
    units: int
    steps: int
    flops: float
    params: int
    params_non_embedding: int
    seconds: float
    exact: bool
    environment: dict[str, Any]
    skipped: tuple[tuple[int, str], ...] = ()
    utilisation: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values; `from_json` gives an equal result back."""
        value: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return value

    @staticmethod
    def from_json(value: dict[str, Any]) -> RunResult:
        """Rebuild a result from `to_json`'s value."""
        fields = {**value}
        skipped = tuple((step, reason) for step, reason in fields.pop("skipped", ()))
        return RunResult(**fields, skipped=skipped)


def result_path(folder: Path) -> Path:
    """Where the result of the run in `folder` is kept."""
    return folder / "result.json"


def read_result(folder: Path, key: str) -> RunResult | None:
    """Read the result of the run in `folder`.

    Returns:
        The result, or None if there is none yet or the file is damaged.

    Raises:
        WindtunnelError: The file is the result of another run.
    """
    path = result_path(folder)
    try:
        result = RunResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        logger.warning("%s: damaged (%s); the run is done again", path, error)
        return None
    if result.key != key:
        raise WindtunnelError(
            f"{path}: belongs to run {result.key}, not to {key}; give each run its own folder."
        )
    return result


def write_result(folder: Path, result: RunResult) -> None:
    """Write the result into the run's folder, atomically."""
    write_json(result_path(folder), result.to_json())
