"""The training loop: one run from its first step, or its last checkpoint, to its result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from windtunnel.models.family import Family
from windtunnel.scale import Run
from windtunnel.training.batches import Batches
from windtunnel.training.checkpoint import Checkpoints, FileCheckpoints, save_weights
from windtunnel.training.device import cpu_threads
from windtunnel.training.execution import Execution
from windtunnel.training.outcome import outcome
from windtunnel.training.ranks import Ranks
from windtunnel.training.result import RunResult, read_result, write_result
from windtunnel.training.session import COMPILED, Session
from windtunnel.training.trackers import Tracker

CHECKPOINT_SECONDS = 20.0


def train(
    run: Run,
    *,
    family: Family,
    batches: Batches,
    folder: Path,
    device: str = "cpu",
    threads: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int, float], object] = lambda step, steps, loss: None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    keep_weights: bool = False,
    execution: Execution = Execution(),  # noqa: B008  (frozen)
    ranks: Ranks | None = None,
    trackers: Sequence[Tracker] = (),
) -> RunResult | None:
    """Train one run to its end, from its checkpoint if there is one.

    A run that was stopped anywhere and goes on under the same threads, versions and CPU gives the
    losses of an undisturbed one, bit for bit; under others it goes on, and its result says
    `exact=False`. A run whose result is there is not trained again.

    Several processes train one run by calling this with the same arguments and their `ranks`; the
    first one's `should_stop`, `on_progress` and clock count.

    Args:
        run: What to train.
        family: The run's family.
        batches: The run's data.
        folder: The run's own folder: `result.json`, `metrics.jsonl`, `checkpoint.safetensors`; a
            folder `checkpoint-STEP` for each checkpoint of several processes.
        device: `cpu`, `cuda` or `cuda:1`; several processes have theirs in `ranks`.
        threads: CPU threads of this run.
        should_stop: Asked after every step, before anything is written. When it turns true, a
            checkpoint is written and training ends. When it raises (a worker that lost its
            claim), nothing more is written.
        on_progress: Told of steps done, steps in all and the last loss, at every step on a CPU
            and at every 16th on a GPU; it should return quickly.
        checkpoint_seconds: Time between checkpoints.
        keep_weights: Write the trained model to `model.safetensors` as well; a search of many
            runs wants only their losses.
        execution: How the run is carried out.
        ranks: The processes that train it, from `joined_ranks`; None for this one alone.
        trackers: Loggers beside `metrics.jsonl`, from `windtunnel.training.trackers`.

    Returns:
        The result, or None if `should_stop` ended the training before it was complete.

    Raises:
        WindtunnelError: The folder belongs to another run, or can't be written; or the run can't
            be carried out like that.
    """
    ranks = ranks or Ranks(torch.device(device))
    result = read_result(folder, run.key)
    if ranks.said_by_first([result is not None])[0]:
        return result or read_result(folder, run.key)
    began = time.perf_counter()
    if ranks.rank == 0:
        # A process that was killed while torch compiled may have left a broken file in it.
        shutil.rmtree(folder / COMPILED, ignore_errors=True)
    ranks.wait()
    with cpu_threads(threads):
        checkpoints = _checkpoints(folder, ranks, execution)
        session = Session(
            run,
            family,
            batches,
            folder,
            threads,
            execution,
            ranks,
            checkpoints,
            trackers,
            began,
        )
        if not session.train(should_stop, on_progress, checkpoint_seconds):
            session.finish_trackers(None)
            return None
        result = outcome(session)
        if ranks.rank == 0:
            should_stop()  # raises, so that nothing is written, if the claim was lost meanwhile
        session.write_log()
        if keep_weights:
            model = session.trainee.model
            save_weights(folder / "model.safetensors", model, write=ranks.rank == 0)
    if ranks.rank == 0:
        write_result(folder, result)
    session.finish_trackers(result)
    ranks.wait()
    checkpoints.remove()
    if ranks.rank == 0:
        shutil.rmtree(folder / COMPILED, ignore_errors=True)
    return result


def _checkpoints(folder: Path, ranks: Ranks, execution: Execution) -> Checkpoints:
    if ranks.mesh is None and not any(folder.glob("checkpoint-*/")):
        return FileCheckpoints(folder)
    from windtunnel.training.sharded_checkpoint import ShardedCheckpoints

    return ShardedCheckpoints(folder, ranks, asynchronous=execution.asynchronous)
