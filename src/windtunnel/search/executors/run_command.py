"""Trains one run of a study by the user's own command."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from windtunnel.command import arguments
from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json
from windtunnel.models.command_family import CommandFamily
from windtunnel.report_row import FOLDER, ROWS
from windtunnel.scale import Run
from windtunnel.search.executors.limits import Watch
from windtunnel.search.executors.process_tree import end_all
from windtunnel.spec import LimitsSpec, StudySpec

OUTPUT = "output.log"
_LOOK_SECONDS = 0.05
_GRACE_SECONDS = 10.0  # between being asked to stop and being killed
_TAIL_LINES = 4
_PR_SET_PDEATHSIG = 1


def run_command(
    run: Run,
    folder: Path,
    spec: StudySpec,
    device: str,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int, int, float], None],
) -> dict[str, Any] | None:
    """Run the command in the study's folder and read the rows it writes.

    Its output goes to `output.log` in the run's folder. When it is told to stop it gets SIGTERM,
    and may keep a checkpoint in the run's folder to go on from; its rows stay.

    Args:
        run: What to train.
        folder: The run's own folder.
        spec: The study.
        device: Put in for `{device}`.
        should_stop: Asked several times a second.
        on_progress: Told step, steps and metric of every new row.

    Returns:
        The result as JSON values, or None when it was stopped.

    Raises:
        WindtunnelError: The command can't be started, took more than `limits` allow, or ended well
            without a usable row.
        RuntimeError: It ended with an error; it may be tried again.
    """
    assert spec.run is not None, "the study has a command"
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    words = arguments(spec.run.command, run, folder, device)
    end_all(FOLDER, str(folder))  # what a worker that was killed left behind
    if spec.run.model is not None:
        from windtunnel.parametrization.plan_file import write_plan

        write_plan(spec.run.model, run, folder.parents[1], folder)
    rows = _Rows(folder / ROWS, spec.metric.name)
    begun = time.monotonic()
    with (folder / OUTPUT).open("ab") as output:
        try:
            process = subprocess.Popen(
                words,
                cwd=folder.parents[1],
                env=_environment(spec, folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_stop_with_the_worker,
            )
        except OSError as error:
            raise WindtunnelError(f"run: {words[0]} can't be started ({error.strerror})") from error
        try:
            stopped = _watch(process, rows, spec.limits, folder / OUTPUT, should_stop, on_progress)
        finally:
            _end(process, folder)
    rows.read(on_progress)
    if stopped:
        return None
    if process.returncode:
        raise RuntimeError(
            f"the command ended {_manner(process.returncode)}: {_tail(folder / OUTPUT)}"
        )
    result = _result(run, spec, rows, time.monotonic() - begun, words)
    write_json(folder / "result.json", result)
    return result


# Loaded here: between fork and exec nothing may be.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _stop_with_the_worker() -> None:
    """Ask the kernel to send the command SIGTERM when its worker dies, however that comes about."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


# What the supervisor sets for workers that share a machine; a command alone has all of it.
_SHARING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def _environment(spec: StudySpec, folder: Path) -> dict[str, str]:
    alone = spec.workers in ("auto", 1)
    kept = {k: v for k, v in os.environ.items() if not (alone and k in _SHARING)}
    return {**kept, FOLDER: str(folder)}


def _watch(
    process: subprocess.Popen[bytes],
    rows: _Rows,
    limits: LimitsSpec,
    output: Path,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int, int, float], None],
) -> bool:
    """Wait for the end; true if it was stopped because somebody asked."""
    watch = Watch(limits, process.pid)
    while process.poll() is None:
        if rows.read(on_progress):
            watch.heard()
        if should_stop():
            return True
        exceeded = watch.exceeded()
        if exceeded is not None:
            raise WindtunnelError(f"run: the command was ended: {exceeded}; {_tail(output)}")
        time.sleep(_LOOK_SECONDS)
    return False


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Stop the command and all it started."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    _signal(process, signal.SIGKILL)  # what it left behind, too
    # torchrun gives each rank a session of its own, which that signal doesn't reach.
    end_all(FOLDER, str(folder))
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class _Rows:
    """The rows a command writes, read as they come."""

    def __init__(self, path: Path, metric: str) -> None:
        self._path = path
        self._metric = metric
        # What an earlier attempt wrote is not this one's.
        self._at = path.stat().st_size if path.exists() else 0
        self.last: dict[str, Any] | None = None
        self.with_metric: dict[str, Any] | None = None
        self.known: dict[str, Any] = {}  # the latest of every name

    def read(self, on_progress: Callable[[int, int, float], None]) -> bool:
        """Read what is new; true if there was a whole row.

        Raises:
            WindtunnelError: A line is no row.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                text = file.read()
        except FileNotFoundError:
            return False
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line.strip():
                self._take(line, on_progress)
        return bool(whole)

    def _take(self, line: str, on_progress: Callable[[int, int, float], None]) -> None:
        try:
            row = json.loads(line)
            step = int(row["step"])
        except (ValueError, TypeError, KeyError) as error:
            raise WindtunnelError(
                f"{self._path}: '{line[:80]}' is no row such as "
                f'{{"step": 100, "{self._metric}": 2.5}}'
            ) from error
        self.last = row
        self.known |= row
        value = row.get(self._metric, math.nan)
        if self._metric in row:
            self.with_metric = row
        loss = math.nan if not isinstance(value, int | float) else float(value)
        on_progress(step, int(row.get("steps") or self.known.get("steps") or step), loss)


def _result(
    run: Run, spec: StudySpec, rows: _Rows, seconds: float, words: list[str]
) -> dict[str, Any]:
    metric = spec.metric.name
    row = rows.with_metric
    if row is None:
        what = "no row" if rows.last is None else f"no row with '{metric}'"
        raise WindtunnelError(
            f"run: the command ended well and wrote {what}; call "
            f"windtunnel.report(step, {metric}=...) once training has ended"
        )
    value = row[metric]
    finite = isinstance(value, int | float) and math.isfinite(value)
    low, high = spec.metric.bounds
    if finite and not ((low is None or value > low) and (high is None or value <= high)):
        raise WindtunnelError(
            f"run: {metric} is {value:g} at step {row['step']}, outside metric.bounds; the laws "
            "need a loss above 0"
        )
    assert spec.run is not None, "the study has a command"
    family = CommandFamily(spec.run.command, spec.run.params)
    params = int(rows.known.get("params") or family.parameter_count(run.scale).total)
    units = int(rows.known.get(spec.unit) or run.scale.units)
    flops = rows.known.get("flops")
    return {
        "key": run.key,
        "status": "finished" if finite else "diverged",
        "loss": float(value) if finite else None,
        "loss_se": rows.known.get(f"{metric}_se"),
        "units": units,
        "steps": int(row["step"]),
        "flops": float(flops) if flops else 6.0 * params * units,
        "params": params,
        "params_non_embedding": params,
        "seconds": seconds,
        "exact": True,
        "environment": {"command": " ".join(words)},
    }


def _manner(status: int) -> str:
    return f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def _tail(path: Path) -> str:
    lines = path.read_bytes()[-4096:].decode(errors="replace").splitlines()
    return " | ".join(line.strip() for line in lines[-_TAIL_LINES:] if line.strip()) or "no output"
