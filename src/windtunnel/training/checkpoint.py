"""Checkpoints: one safetensors file, written atomically, checksummed, with nothing pickled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically

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
    """

    key: str
    step: int
    seconds: float
    exact: bool
    environment: dict[str, Any]


def save_checkpoint(path: Path, progress: Progress, model: nn.Module, optimizer: Optimizer) -> None:
    """Write all that the run needs to go on: weights, buffers, optimizer state, random state.

    Raises:
        WindtunnelError: The disk is full; the checkpoint that was there is untouched.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in _state(model, optimizer).items()}
    text = json.dumps(dataclasses.asdict(progress))
    metadata = {"progress": text, "sha256": _checksum(text, tensors)}
    write_atomically(path, save(tensors, metadata))


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the trained parameters alone, as safetensors; a tied parameter is there once."""
    weights = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    write_atomically(path, save(weights))


def load_checkpoint(
    path: Path, key: str, model: nn.Module, optimizer: Optimizer
) -> Progress | None:
    """Put model, optimizer and random state back to where the checkpoint left them.

    A file that is cut short, damaged, or holds other tensors than the model's is reported and not
    used, not even in part.

    Returns:
        How far the run had come, or None if it has to start over.

    Raises:
        WindtunnelError: The checkpoint belongs to another run.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        return _unusable(path, str(error))
    text = metadata.get("progress", "")
    if metadata.get("sha256") != _checksum(text, tensors):
        return _unusable(path, "its checksum is wrong")
    progress = Progress(**json.loads(text))
    if progress.key != key:
        raise WindtunnelError(
            f"{path}: belongs to run {progress.key}, not to {key}; give each run its own folder."
        )
    if not _restore(tensors, model, optimizer):
        return _unusable(path, "it holds the tensors of another version's model")
    return progress


def _unusable(path: Path, reason: str) -> Progress | None:
    logger.warning("%s: not usable (%s); the run starts over", path, reason)
    return None


def _state(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Every tensor the run's future depends on, by name; a tied parameter is there once."""
    named = dict(model.named_parameters())
    tensors = {f"model.{name}": tensor.detach() for name, tensor in named.items()}
    tensors |= {f"model.{name}": tensor for name, tensor in model.named_buffers()}
    for name, parameter in named.items():
        for part, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{part}"] = value
    tensors["random"] = torch.get_rng_state()
    return tensors


def _restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: Optimizer) -> bool:
    """Load the tensors, or change nothing and return False if they don't fit the model."""
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    stored = _below("model.", tensors)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in stored.items()}:
        return False
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(stored[name])

    state: dict[str, dict[str, Tensor]] = {}
    for path, value in _below("optimizer.", tensors).items():
        name, _, part = path.rpartition(".")
        state.setdefault(name, {})[part] = value
    # The optimizer counts parameters through its groups; it puts each value on the right device.
    numbered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = {parameter: name for name, parameter in model.named_parameters()}
    by_number = {
        n: state[names[parameter]]
        for n, parameter in enumerate(numbered)
        if names[parameter] in state
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": by_number})

    torch.set_rng_state(tensors["random"])
    return True


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found = ((name, tensor) for name, tensor in tensors.items() if name.startswith(prefix))
    return {name.removeprefix(prefix): tensor for name, tensor in found}


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the progress and of every tensor's name and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"\n{name}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
