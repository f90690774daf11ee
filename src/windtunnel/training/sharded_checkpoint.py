"""Several processes' checkpoints: each writes what it holds, any number of them reads it back.

Torch's distributed checkpoints (DCP) do the cutting and the putting together, in safetensors
files: their own format keeps its table of contents as a pickle, and nothing here is unpickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.optim import Optimizer

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json
from windtunnel.shards import is_sharded
from windtunnel.training.checkpoint import (
    Progress,
    checkpoint_path,
    load_checkpoint,
    remove_checkpoint,
)
from windtunnel.training.ranks import Ranks
from windtunnel.training.state import fits, owner_of, parameters_of, random_state, restore
from windtunnel.training.state import tensors_of as tensors_of_state

logger = logging.getLogger(__name__)

_CONTENTS = "contents.json"  # written last: a folder without it was never finished
_KEPT = 2


class ShardedCheckpoints:
    """The checkpoints of a run that several processes train; every method is called by all.

    Args:
        folder: The run's; each checkpoint is a folder `checkpoint-STEP` in it.
        ranks: The processes.
        asynchronous: Whether files are written by a thread while training goes on.

    Attributes:
        seconds: Time that training stood still for checkpoints, in this process.
    """

    def __init__(self, folder: Path, ranks: Ranks, *, asynchronous: bool = True) -> None:
        """Nothing is read or written yet."""
        self.seconds = 0.0
        self._folder, self._ranks, self._asynchronous = folder, ranks, asynchronous
        # A thread's messages must not mix with training's: they have a group of their own.
        self._group = None if ranks.mesh is None else dist.new_group(backend="gloo")
        self._thread = ThreadPoolExecutor(1)
        self._pending: tuple[Path, Progress, Future[dict[str, str]]] | None = None

    def save(self, progress: Progress, model: nn.Module, optimizer: Optimizer) -> None:
        """Write a checkpoint, or begin to; one that was begun before is finished first.

        Raises:
            WindtunnelError: The disk is full; the checkpoints that were there are untouched.
        """
        began = time.perf_counter()
        self.finish()
        path = self._folder / f"checkpoint-{progress.step:09d}"
        if self._ranks.rank == 0:
            shutil.rmtree(path, ignore_errors=True)  # of a run that was killed while it wrote
        self._ranks.wait()
        tensors = tensors_of_state(model, optimizer, self._ranks.data_rank)
        writer = HuggingFaceStorageWriter(str(path), save_distributed=True)
        # Copies everything to the CPU, then returns: what training changes is not seen.
        saving = async_save(tensors, storage_writer=writer, process_group=self._group)
        written = self._thread.submit(_written, cast("Future[object]", saving), path, self._own)
        self._pending = path, progress, written
        if not self._asynchronous:
            self.finish()
        self.seconds += time.perf_counter() - began

    def tend(self) -> None:
        """Finish what was begun if every process has written its part; called now and then."""
        if self._pending is not None and self._ranks.all_say(self._pending[2].done()):
            began = time.perf_counter()
            self.finish()
            self.seconds += time.perf_counter() - began

    def finish(self) -> None:
        """Wait for what was begun, and make it the newest checkpoint.

        Raises:
            WindtunnelError: It could not be written.
        """
        if self._pending is None:
            return
        path, progress, written = self._pending
        self._pending = None
        try:
            digests = written.result()
        except Exception as error:  # of a disk or of another process: its text says which
            raise WindtunnelError(f"{path}: cannot be written ({error}).") from error
        self._close(path, progress, digests)

    def load(self, key: str, model: nn.Module, optimizer: Optimizer) -> Progress | None:
        """Go back to the newest checkpoint that is whole and this run's, of however many wrote it.

        Others are reported by name and passed over; nothing of them is used.

        Returns:
            How far the run had come, or None if it has to start over.
        """
        for path in reversed(self._finished()):
            reason = self._load(path, key, model, optimizer)
            if isinstance(reason, Progress):
                return reason
            if self._ranks.rank == 0:
                logger.warning("%s: not usable (%s); the one before it is used", path, reason)
        # One process may have begun the run.
        return load_checkpoint(checkpoint_path(self._folder), key, model, optimizer)

    def remove(self) -> None:
        """Remove all of them, finished or not."""
        self.finish()
        self._ranks.wait()
        if self._ranks.rank == 0:
            remove_sharded(self._folder)
            remove_checkpoint(checkpoint_path(self._folder))

    def _finished(self) -> list[Path]:
        return finished_sharded(self._folder)

    @property
    def _own(self) -> str:
        """How the names of the files begin that DCP lets this process write."""
        return f"shard-{self._ranks.rank + 1:05d}-"

    def _close(self, path: Path, progress: Progress, digests: dict[str, str]) -> None:
        """Say what the folder holds, once every process has written its part."""
        first = self._ranks.rank == 0
        gathered: Any = [digests]
        if self._group is not None:
            gathered = [None] * self._ranks.count if first else None
            dist.gather_object(digests, gathered, group=self._group)
        if first:
            files = {name: digest for part in gathered for name, digest in part.items()}
            text = json.dumps(dataclasses.asdict(progress))
            write_json(path / _CONTENTS, {"progress": text, "sha256": _seal(text, files), **files})
            finished = self._finished()
            # Later ones could not be used, or the run would have gone on from them.
            kept = [found for found in finished if found <= path][-_KEPT:]
            for other in set(finished) - set(kept):
                shutil.rmtree(other, ignore_errors=True)
            remove_checkpoint(checkpoint_path(self._folder))  # older: one process's
        self._ranks.wait()

    def _load(self, path: Path, key: str, model: nn.Module, optimizer: Optimizer) -> Progress | str:
        """Load a checkpoint, or say why it can't be; the same answer on every process."""
        found = _progress(path)
        # Each process reads a share of the files to see whether they are whole.
        shares = [] if isinstance(found, str) else found[1]
        whole = all(
            (path / name).is_file() and _digest(path / name) == digest
            for name, digest in shares[self._ranks.rank :: self._ranks.count]
        )
        if isinstance(found, str) or not self._ranks.all_say(whole):
            return found if isinstance(found, str) else "a file is missing, cut short or damaged"
        progress = found[0]
        if progress.key != key:
            return f"belongs to run {progress.key}, not to {key}"
        reader = HuggingFaceStorageReader(str(path))
        try:
            stored = reader.read_metadata().state_dict_metadata
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            return str(error)
        described = {name: cast(Any, entry) for name, entry in stored.items()}
        shapes = {name: torch.Size(entry.size) for name, entry in described.items()}
        if not fits(shapes, model, optimizer):
            return "it holds the tensors of another version's model"
        parameters = parameters_of(model)
        own = set(random_state(self._ranks.device, self._ranks.data_rank))
        tensors = {
            name: _place(shapes[name], entry.properties.dtype, owner_of(name, parameters))
            for name, entry in described.items()
            if not name.startswith("random") or name in own
        }
        alone = self._ranks.mesh is None
        load(tensors, storage_reader=reader, process_group=self._group, no_dist=alone)
        restore(tensors, model, optimizer, self._ranks.data_rank)
        return progress


def finished_sharded(folder: Path) -> list[Path]:
    """The finished checkpoints of several processes in a run's folder, the newest last."""
    return sorted(path.parent for path in folder.glob(f"checkpoint-*/{_CONTENTS}"))


def remove_sharded(folder: Path) -> None:
    """Remove all checkpoints of several processes, finished or not."""
    for path in folder.glob("checkpoint-*/"):
        shutil.rmtree(path, ignore_errors=True)


def _written(saving: Future[object], path: Path, own: str) -> dict[str, str]:
    """Wait for the files, see them safe on the disk; the checksums of this process's."""
    saving.result()
    found = sorted(path.glob(f"{own}*.safetensors"))
    for file in found:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    return {file.name: _digest(file) for file in found}


def _place(shape: torch.Size, dtype: torch.dtype, owner: nn.Parameter | None) -> Tensor:
    """Where a tensor is read to: cut as its parameter is, if it has that shape."""
    if owner is not None and is_sharded(owner) and owner.shape == shape:
        return torch.zeros_like(owner.detach(), dtype=dtype)
    return torch.zeros(shape, dtype=dtype)


def _progress(path: Path) -> tuple[Progress, list[tuple[str, str]]] | str:
    """What the table of contents says: the progress, and each file with its checksum."""
    try:
        contents = json.loads((path / _CONTENTS).read_text(encoding="utf-8"))
        text, seal = contents.pop("progress"), contents.pop("sha256")
        if seal != _seal(text, contents):
            return "its table of contents is damaged"
        return Progress.parse(text), sorted(contents.items())
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        return f"its table of contents can't be read: {error}"


def _seal(text: str, files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([text, files], sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
