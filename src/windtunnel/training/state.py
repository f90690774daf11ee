"""All that a run's future depends on, as tensors by name, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from windtunnel.parametrization.names import canonical_names
from windtunnel.shards import is_sharded, like_shard

T = TypeVar("T")

_MODEL, _OPTIMIZER = "model.", "optimizer."
_RANDOM, _RANDOM_CUDA = "random", "random-cuda"


def tensors_of(model: nn.Module, optimizer: Optimizer, rank: int = 0) -> dict[str, Tensor]:
    """Weights, buffers, optimizer state and this process's generators; a tied parameter once.

    Args:
        model: Wrapped or not, sharded or not.
        optimizer: Over its parameters.
        rank: Number of this process among those that see other data, for its generators.
    """
    named = parameters_of(model)
    tensors = {f"{_MODEL}{name}": tensor.detach() for name, tensor in _held(model).items()}
    for name, parameter in named.items():
        for part, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_OPTIMIZER}{name}.{part}"] = value
    return tensors | random_state(next(iter(named.values())).device, rank)


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The model's parameters by the names they have without wrappers."""
    return {n: t for n, t in _held(model).items() if isinstance(t, nn.Parameter)}


def random_state(device: torch.device, rank: int = 0) -> dict[str, Tensor]:
    """State of the generators that a step may draw from, by name."""
    found = {f"{_RANDOM}{_of(rank)}": torch.get_rng_state()}
    if device.type == "cuda":
        found[f"{_RANDOM_CUDA}{_of(rank)}"] = torch.cuda.get_rng_state(device)
    return found


def fits(shapes: Mapping[str, torch.Size], model: nn.Module, optimizer: Optimizer) -> bool:
    """Whether these are the tensors of this model, and its optimizer's state or none."""
    own = {name: tensor.shape for name, tensor in _held(model).items()}
    if own != _below(_MODEL, shapes):
        return False
    parameters = parameters_of(model)
    owners = {path.rpartition(".")[0] for path in _below(_OPTIMIZER, shapes)}
    known = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    return owners <= {name for name, parameter in parameters.items() if parameter in known}


@torch.no_grad()
def restore(
    tensors: Mapping[str, Tensor], model: nn.Module, optimizer: Optimizer, rank: int = 0
) -> None:
    """Put model, optimizer and generators back to where `tensors_of` found them.

    Args:
        tensors: They fit; each whole, or sharded as the model's is.
        model: As for `tensors_of`.
        optimizer: As for `tensors_of`.
        rank: As for `tensors_of`; where there were fewer processes, its generators stay.
    """
    parameters = parameters_of(model)
    stored = _below(_MODEL, tensors)
    for name, tensor in _held(model).items():
        tensor.copy_(_like(stored[name], tensor))
    state: dict[str, dict[str, Tensor]] = {}
    for path, value in _below(_OPTIMIZER, tensors).items():
        name, _, part = path.rpartition(".")
        state.setdefault(name, {})[part] = _like(value, parameters[name])
    # The optimizer counts parameters through its groups; it puts each value on the right device.
    numbered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = {parameter: name for name, parameter in parameters.items()}
    by_number = {
        number: state[names[parameter]]
        for number, parameter in enumerate(numbered)
        if names[parameter] in state
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": by_number})
    if f"{_RANDOM}{_of(rank)}" in tensors:
        torch.set_rng_state(tensors[f"{_RANDOM}{_of(rank)}"])
    if f"{_RANDOM_CUDA}{_of(rank)}" in tensors:
        torch.cuda.set_rng_state(tensors[f"{_RANDOM_CUDA}{_of(rank)}"])


def owner_of(name: str, parameters: Mapping[str, nn.Parameter]) -> nn.Parameter | None:
    """The parameter that a tensor is, or is the optimizer's state of; None for any other."""
    if name.startswith(_MODEL):
        return parameters.get(name.removeprefix(_MODEL))
    if name.startswith(_OPTIMIZER):
        return parameters.get(name.removeprefix(_OPTIMIZER).rpartition(".")[0])
    return None


def _held(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by the names they have without wrappers."""
    found = [*model.named_parameters(), *model.named_buffers()]
    names = canonical_names(name for name, _ in found)
    return dict(zip(names, (tensor for _, tensor in found), strict=True))


def _like(value: Tensor, tensor: Tensor) -> Tensor:
    """The value as the tensor lies: cut as that is, where it is whole and of its shape."""
    if is_sharded(value) or value.shape != tensor.shape:
        return value
    return like_shard(value, tensor)


def _of(rank: int) -> str:
    """Nothing for the first, so that one process's checkpoints read as they always did."""
    return f".{rank}" if rank else ""


def _below(prefix: str, tensors: Mapping[str, T]) -> dict[str, T]:
    found = ((name, tensor) for name, tensor in tensors.items() if name.startswith(prefix))
    return {name.removeprefix(prefix): tensor for name, tensor in found}
