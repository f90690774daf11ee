"""Read and write what this process holds of a parameter that may be sharded (DTensor)."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor, as FSDP2 and tensor parallelism make; imports nothing."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor: a view of its shard, or all of it."""
    sharded: Any = tensor
    return cast(Tensor, sharded.to_local()) if is_sharded(tensor) else tensor


def write(parameter: Tensor, value: Tensor) -> None:
    """Copy a whole value, equal on all processes, into a parameter; each keeps its own part.

    Nothing is sent: a replicated value is cut where it lies.

    Args:
        parameter: The parameter; its device and dtype are kept.
        value: Of the parameter's whole shape, on the CPU.
    """
    if not is_sharded(parameter):
        parameter.copy_(value)
        return
    from torch.distributed.tensor import DTensor, Replicate

    sharded = cast(DTensor, parameter)
    mesh = sharded.device_mesh
    whole = DTensor.from_local(
        value.to(sharded.to_local().device), mesh, [Replicate()] * mesh.ndim, run_check=False
    )
    local(sharded).copy_(local(whole.redistribute(mesh, sharded.placements)))
