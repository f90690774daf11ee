"""Trains one run of a study with our own loop: the seam between the search and training."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from windtunnel.data.batches import TokenBatches
from windtunnel.data.cache import default_cache
from windtunnel.data.corpus import Corpus, open_corpus
from windtunnel.errors import WindtunnelError
from windtunnel.models import Family, build_family
from windtunnel.scale import Run
from windtunnel.spec import DataSpec, StudySpec
from windtunnel.training.available_memory import available_memory
from windtunnel.training.execution import Execution
from windtunnel.training.loop import CHECKPOINT_SECONDS, train
from windtunnel.training.memory_need import memory_need, refuse_what_does_not_fit
from windtunnel.training.portions import portions
from windtunnel.training.ranks import Ranks
from windtunnel.training.trackers import open_tracker


def train_run(
    run: Run,
    folder: Path,
    spec: StudySpec,
    device: str,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int, int, float], None],
    ranks: Ranks | None = None,
) -> dict[str, Any] | None:
    """Train a run in its folder, or go on from its checkpoint there.

    Args:
        run: What to train.
        folder: The run's own folder.
        spec: The study, for the place of its data.
        device: A torch device.
        should_stop: Asked at every step.
        on_progress: Told step, steps and loss at every step.
        ranks: The processes that train it together; None for this one alone.

    Returns:
        The result as JSON values, or None when it was stopped and can be resumed.

    Raises:
        WindtunnelError: The data isn't what the study was begun with.
    """
    family, batches = subject(run, spec)
    is_target = run.scale == spec.target.scale()
    if is_target:
        _refuse_what_does_not_fit(run, family, batches, execution_of(spec), device, ranks)
    result = train(
        run,
        family=family,
        batches=batches,
        folder=folder,
        device=device,
        threads=torch.get_num_threads(),  # as the supervisor asked, through the environment
        should_stop=should_stop,
        on_progress=on_progress,
        keep_weights=is_target,
        execution=execution_of(spec) if is_target else Execution(),
        ranks=ranks,
        checkpoint_seconds=spec.training.checkpoint if is_target else CHECKPOINT_SECONDS,
        trackers=[open_tracker(name) for name in spec.training.trackers] if is_target else [],
    )
    return None if result is None else result.to_json()


def subject(run: Run, spec: StudySpec) -> tuple[Family, TokenBatches]:
    """What a run trains, and on what.

    Args:
        run: The run.
        spec: The study, for the place of its data.

    Raises:
        WindtunnelError: The data isn't what the study was begun with.
    """
    corpus = _corpus(spec.data.model_dump_json())
    if corpus.content_hash != run.data.content_hash:
        raise WindtunnelError(
            f"data.source: {spec.data.source} has changed since the study was begun. Put the old "
            "data back, or start a new study in a new folder."
        )
    family = build_family(
        run.family,
        dict(run.family_options),
        vocabulary_size=corpus.vocabulary_size,
        sequence_length=run.data.sequence_length,
    )
    return family, TokenBatches(corpus, run.data.sequence_length)


def execution_of(spec: StudySpec) -> Execution:
    """How the study's target is carried out."""
    training = spec.training
    return Execution(
        sharding=training.sharding,
        micro_batch=training.micro_batch,
        recompute=training.recompute,
        compile=training.compile,
    )


def _refuse_what_does_not_fit(
    run: Run,
    family: Family,
    batches: TokenBatches,
    execution: Execution,
    device: str,
    ranks: Ranks | None,
) -> None:
    """Raise if the target would run out of memory, which it does late and without a number."""
    ranks = ranks or Ranks(torch.device(device))
    sequences, passes = portions(run, family, execution, ranks, None)
    own = sequences // ranks.data_count // passes
    inputs, targets = batches.training(0, run.data_seed, own)
    need = memory_need(
        run,
        family,
        (torch.from_numpy(inputs), torch.from_numpy(targets)),
        recompute=execution.recompute,
        ranks=ranks.count if execution.sharding == "fsdp" else ranks.tensor_count,
        device=device,
    )
    available = available_memory(str(ranks.device))
    if available is not None and ranks.device.type == "cpu":
        available //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # they share the machine's
    refuse_what_does_not_fit(need, available, "target")


@functools.lru_cache(maxsize=1)
def _corpus(data: str) -> Corpus:
    """A worker trains many runs on one corpus: it is verified once."""
    return open_corpus(DataSpec.model_validate_json(data), default_cache())
