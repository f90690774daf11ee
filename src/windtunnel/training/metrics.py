"""The log of a run, `metrics.jsonl`: one JSON line a step."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from windtunnel.errors import WindtunnelError


class MetricsLog:
    """Collects lines and writes them when told to.

    Each write goes to its own place in the file, not to the end: a run is deterministic, so a
    second process on the same run, which has lost its claim and does not know it yet, writes the
    same bytes to the same place.
    """

    def __init__(self, path: Path, step: int) -> None:
        """Open the log of a run that goes on at `step`: later lines and a torn one are cut off.

        Raises:
            WindtunnelError: The file can't be written.
        """
        self._path = path
        self._lines: list[str] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            self._length = _length_before(path, step)
            os.truncate(path, self._length)
        except OSError as error:
            raise self._explained(error) from error

    def append(
        self,
        *,
        step: int,
        loss: float,
        lr: float,
        grad_norm: float,
        units: int,
        skipped: str | None = None,
    ) -> None:
        """Add one line; a number that is not finite becomes null.

        Args:
            step: From 0.
            loss: Training loss of the step's batch, before its update.
            lr: Learning rate at base, schedule applied.
            grad_norm: Global gradient norm before clipping, in the rule's own gauge; NaN if the
                run does not clip.
            units: Units trained on, this step's included.
            skipped: Why the step's update was passed over, if it was.
        """
        why = "" if skipped is None else f', "skipped": {json.dumps(skipped)}'
        self._lines.append(
            f'{{"step": {step}, "loss": {_json(loss)}, "lr": {_json(lr)}, '
            f'"grad_norm": {_json(grad_norm)}, "units": {units}{why}}}\n'
        )

    def write(self, *, durable: bool = True) -> None:
        """Hand the collected lines to the system; if `durable`, see them safe on the disk.

        Raises:
            WindtunnelError: The disk is full or the file can't be written.
        """
        content = "".join(self._lines).encode()
        try:
            with self._path.open("r+b") as file:
                file.seek(self._length)
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise self._explained(error) from error
        self._length += len(content)
        self._lines.clear()

    def _explained(self, error: OSError) -> WindtunnelError:
        return WindtunnelError(
            f"{self._path}: cannot be written ({error.strerror}). Nothing that was finished is "
            "lost: mend this and run the same command again."
        )


def _json(value: float) -> str:
    return repr(value) if math.isfinite(value) else "null"


def _length_before(path: Path, step: int) -> int:
    """Bytes of the whole lines at the file's beginning whose step is below `step`."""
    length = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] >= step:
                break
        except (ValueError, KeyError, TypeError):
            break
        length += len(line)
    return length
