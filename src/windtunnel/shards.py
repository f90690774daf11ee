"""Read and write what this process holds of a tensor that may be sharded (DTensor)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor, as FSDP2 and tensor parallelism make; imports nothing."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor: a view of its shard, or all of it."""
    sharded: Any = tensor
    return cast("Tensor", sharded.to_local()) if is_sharded(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor: gathered from all processes, which all have to ask, or as it is."""
    sharded: Any = tensor
    return cast("Tensor", sharded.full_tensor()) if is_sharded(tensor) else tensor


def write(parameter: Tensor, value: Tensor) -> None:
    """Copy a whole value, equal on all processes, into a tensor; each keeps its own part.

    Nothing is sent: a replicated value is cut where it lies.

    Args:
        parameter: The tensor; its device and dtype are kept.
        value: Of its whole shape.
    """
    if not is_sharded(parameter):
        parameter.copy_(value)
        return
    local(parameter).copy_(local(_cut(value, parameter)))


def like_shard(value: Tensor, tensor: Tensor) -> Tensor:
    """A value sharded as a tensor is: of its whole shape, or of the part that this process holds.

    Args:
        value: Of either shape; equal on all processes if it is whole.
        tensor: What it lies beside; if that isn't sharded, the value is returned.
    """
    if not is_sharded(tensor):
        return value
    if value.shape == tensor.shape:
        return _cut(value, tensor)
    from torch.distributed.tensor import DTensor

    sharded = cast(DTensor, tensor)
    return DTensor.from_local(
        value,
        sharded.device_mesh,
        sharded.placements,
        run_check=False,
        shape=sharded.shape,
        stride=sharded.stride(),
    )


def _cut(value: Tensor, tensor: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor, Replicate

    sharded = cast(DTensor, tensor)
    mesh = sharded.device_mesh
    replicated = DTensor.from_local(
        value.to(sharded.to_local().device), mesh, [Replicate()] * mesh.ndim, run_check=False
    )
    return replicated.redistribute(mesh, sharded.placements)
