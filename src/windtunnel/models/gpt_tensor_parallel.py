"""Family `gpt` with each layer shared among processes (Shoeybi et al. 2019, arXiv 1909.08053)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from windtunnel.models.gpt import GPTFamily
    from windtunnel.models.gpt_blocks import GPT

_BY_HEADS_OR_CHANNELS = (
    "attention.query",
    "attention.key",
    "attention.value",
    "mlp.gate",
    "mlp.up",
)


def share_layers(family: GPTFamily, model: GPT, mesh: DeviceMesh) -> None:
    """Cut each block's matrices among the processes of a mesh, in place.

    Each process has some of the heads and some of the MLP's hidden channels, and what it makes of
    them is summed twice a block. Tables and gains are whole on every process. All see the same
    sequences.

    Args:
        family: The model's.
        model: Whole, the same on every process.
        mesh: Of one dimension.

    Raises:
        WindtunnelError: Heads or hidden channels can't be shared equally, or the family is
            unit-scaled.
    """
    _refuse(family, model, mesh.size())
    for block in model.blocks:
        styles: dict[str, ParallelStyle] = {
            name: ColwiseParallel()
            for name in _BY_HEADS_OR_CHANNELS
            if name != "mlp.gate" or family.activation == "swiglu"
        }
        styles |= {name: RowwiseParallel() for name in ("attention.output", "mlp.down")}
        parallelize_module(block, mesh, styles)
        attention: Any = cast(Any, block).attention
        for norm in (attention.query_norm, attention.key_norm):
            if isinstance(norm, nn.RMSNorm):
                cast(Any, norm).forward = functools.partial(_norm_of_some_heads, norm, mesh)


def _norm_of_some_heads(norm: nn.RMSNorm, mesh: DeviceMesh, values: Tensor) -> Tensor:
    """The norm; the gain that all heads share has the gradient of all of them."""
    gain: Tensor = _SummedGradient.apply(norm.weight, mesh.get_group())  # type: ignore[no-untyped-call]
    return F.rms_norm(values, list(norm.normalized_shape), gain, norm.eps)


class _SummedGradient(torch.autograd.Function):
    """The tensor itself, whose gradient is summed over the processes."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        summed = gradients[0].contiguous()
        dist.all_reduce(summed, group=ctx.group)
        return summed, None


def _refuse(family: GPTFamily, model: GPT, processes: int) -> None:
    if family.unit_scaled:
        raise WindtunnelError(
            "training.tensor: unit-scaled layers can't be shared; leave it at 1 and let fsdp cut "
            "the parameters"
        )
    width = model.final_norm.weight.shape[0]
    heads = width // family.head_size // family.query_groups
    for what, count in (("key heads", heads), ("MLP channels", family.mlp_width(width))):
        if count % processes:
            raise WindtunnelError(
                f"training.tensor: {count} {what} can't be shared equally by {processes} "
                "processes; use a number that divides them"
            )
