"""One process's checkpoints: a safetensors file and the one before it; nothing is pickled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically
from windtunnel.shards import whole
from windtunnel.training.state import fits, parameters_of, restore, tensors_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        key: Key of the run.
        step: Steps done: the next one's number.
        seconds: Wall-clock time spent so far.
        exact: Whether the losses so far are those of an undisturbed run, bit for bit.
        environment: What the run ran on.
        skipped: Steps that were skipped, each with the reason.
        norms: Gradient norms that the next one is held against, where spikes are skipped.
    """

    key: str
    step: int
    seconds: float
    exact: bool
    environment: dict[str, Any]
    skipped: tuple[tuple[int, str], ...] = ()
    norms: tuple[float, ...] = ()

    @staticmethod
    def parse(text: str) -> Progress:
        """Rebuild it from its fields as JSON."""
        fields = json.loads(text)
        skipped = tuple((step, reason) for step, reason in fields.pop("skipped", ()))
        return Progress(**{**fields, "skipped": skipped, "norms": tuple(fields.get("norms", ()))})


class Checkpoints(Protocol):
    """What the loop asks of the place where a run's checkpoints are."""

    seconds: float
    """Time that training stood still for checkpoints, in this process."""

    def save(self, progress: Progress, model: nn.Module, optimizer: Optimizer) -> None:
        """Write a checkpoint, or begin to."""

    def tend(self) -> None:
        """Finish what was begun if that needs no waiting; called at every reading of losses."""

    def finish(self) -> None:
        """See what was begun to its end."""

    def load(self, key: str, model: nn.Module, optimizer: Optimizer) -> Progress | None:
        """Go back to the newest that can be used; None if the run has to start over."""

    def remove(self) -> None:
        """Remove all of them."""


class FileCheckpoints:
    """The checkpoints of a run that one process trains; `ShardedCheckpoints` are several's.

    Args:
        folder: The run's.

    Attributes:
        seconds: Time that training stood still for checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written yet."""
        self.seconds = 0.0
        self._path = checkpoint_path(folder)

    def save(self, progress: Progress, model: nn.Module, optimizer: Optimizer) -> None:
        """See `save_checkpoint`."""
        began = time.perf_counter()
        save_checkpoint(self._path, progress, model, optimizer)
        self.seconds += time.perf_counter() - began

    def tend(self) -> None:
        """Nothing is left to be finished."""

    def finish(self) -> None:
        """Nothing is left to be finished."""

    def load(self, key: str, model: nn.Module, optimizer: Optimizer) -> Progress | None:
        """See `load_checkpoint`."""
        return load_checkpoint(self._path, key, model, optimizer)

    def remove(self) -> None:
        """See `remove_checkpoint`."""
        remove_checkpoint(self._path)


def checkpoint_path(folder: Path) -> Path:
    """Where the run in `folder` keeps its checkpoint; the one before it lies beside."""
    return folder / "checkpoint.safetensors"


def save_checkpoint(path: Path, progress: Progress, model: nn.Module, optimizer: Optimizer) -> None:
    """Write all that the run needs to go on: weights, buffers, optimizer state, random state.

    The checkpoint that was there is kept as the one before.

    Raises:
        WindtunnelError: The disk is full; the checkpoint that was there is untouched.
    """
    found = tensors_of(model, optimizer)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in found.items()}
    text = json.dumps(dataclasses.asdict(progress))
    metadata = {"progress": text, "sha256": _checksum(text, tensors)}
    content = save(tensors, metadata)
    written = path.with_name(f"{path.stem}-next{path.suffix}")
    write_atomically(written, content)
    # Killed between the two, the run goes on from the one before.
    if path.exists():
        path.replace(_before(path))
    written.replace(path)


def save_weights(path: Path, model: nn.Module, *, write: bool = True) -> None:
    """Write the trained parameters alone, as safetensors; a tied parameter is there once.

    Args:
        path: Where to.
        model: Its parameters may be sharded; all processes have to call this then.
        write: Whether this process writes the file.
    """
    parameters = parameters_of(model)
    # One at a time, so that no process but the writer ever holds more than one whole.
    weights = {}
    for name, parameter in parameters.items():
        value = whole(parameter.detach())
        if write:
            weights[name] = value.cpu().contiguous()
    if write:
        write_atomically(path, save(weights))


def load_checkpoint(
    path: Path, key: str, model: nn.Module, optimizer: Optimizer
) -> Progress | None:
    """Put model, optimizer and random state back to where the checkpoint left them.

    A file that is cut short, damaged, of another run, or holds other tensors than the model's is
    reported and not used, not even in part: the one before it is.

    Returns:
        How far the run had come, or None if it has to start over.

    Raises:
        WindtunnelError: Only another run's are there.
    """
    stranger = None
    candidates = [candidate for candidate in (path, _before(path)) if candidate.exists()]
    for candidate in candidates:
        found = _read(candidate)
        if isinstance(found, str):
            reason = found
        elif found[0].key != key:
            reason = f"belongs to run {found[0].key}, not to {key}"
            stranger = f"{candidate}: {reason}; give each run its own folder."
        elif not fits({n: t.shape for n, t in found[1].items()}, model, optimizer):
            reason = "it holds the tensors of another version's model"
        else:
            progress, tensors = found
            restore(tensors, model, optimizer)
            return progress
        last = candidate == candidates[-1]
        instead = "the run starts over" if last else "the one before it is used"
        logger.warning("%s: not usable (%s); %s", candidate, reason, instead)
    if stranger is not None:
        raise WindtunnelError(stranger)
    return None


def remove_checkpoint(path: Path) -> None:
    """Remove the checkpoint, and the one before it."""
    for found in (path, _before(path)):
        found.unlink(missing_ok=True)


def _before(path: Path) -> Path:
    return path.with_name(f"{path.stem}-before{path.suffix}")


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]] | str:
    """What a file holds, or why it can't be used."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        return str(error)
    text = metadata.get("progress", "")
    if metadata.get("sha256") != _checksum(text, tensors):
        return "its checksum is wrong"
    return Progress.parse(text), tensors


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the progress and of every tensor's name and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"\n{name}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
