"""Tensor parallelism for family `gpt`: attention heads and MLP channels spread over processes."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, distribute_module
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    RowwiseParallel,
    parallelize_module,
)

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt_blocks import GPT, MLP, Attention, Block
from windtunnel.models.unit_scaling import UnitScaledLinear


def tensor_parallel_(model: GPT, mesh: DeviceMesh) -> None:
    """Spread a model over the processes of a mesh, in place (Shoeybi et al. 2019, section 3).

    Each process keeps some of the heads and of the MLP's channels: rows of query, key, value, gate
    and up, columns of attention's output and of down. Two sums a block and pass go between
    processes. Embedding, norms and head are kept whole by all. Every parameter becomes a DTensor
    whose gradient is placed as it is, so that optimizers, clipping and `apply_` go on as before;
    names and whole shapes stay.

    Every process of the mesh calls the model on the same tokens and gets all logits. Checkpointed
    activations and `fully_shard` over another dimension of the mesh come afterwards::

        mesh = init_device_mesh("cuda", (8, 4), mesh_dim_names=("data", "tensor"))
        tensor_parallel_(model, mesh["tensor"])
        for block in model.blocks:
            fully_shard(block, mesh=mesh["data"])
        fully_shard(model, mesh=mesh["data"])

    Args:
        model: What `GPTFamily.build` gave, on the mesh's kind of device or on the meta device; all
            processes' values become those of the mesh's first.
        mesh: Of one dimension; its processes share the heads evenly.

    Raises:
        WindtunnelError: The mesh has more dimensions, the heads or the MLP's channels don't divide
            by its size, or the model is unit-scaled; nothing has been changed.
    """
    _refuse(model, mesh)
    _replicate(model.embedding, mesh)
    _replicate(model.final_norm, mesh)
    model.head = _head(model.head, mesh)
    if model.tied:
        model.head.weight = model.embedding.weight
    for block in model.blocks:
        assert isinstance(block, Block)
        _spread_attention(block.attention, mesh)
        _spread_mlp(block.mlp, mesh)
        _replicate(block.attention_norm, mesh)
        _replicate(block.mlp_norm, mesh)


class _NormOfHeads(nn.RMSNorm):
    """A norm whose gain all heads share, and this process applies to its own ones only."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise the last axis of (batch, length, this process's heads, head size)."""
        gain: Any = self.weight
        # The gain's gradient is a sum over heads; here it is a part of it. The step that changes
        # nothing forward adds the parts up backward.
        gain = gain.redistribute(placements=[Replicate()]).to_local(grad_placements=[Partial()])
        return F.rms_norm(values, self.normalized_shape, gain, self.eps)


class _Head(nn.Linear):
    """A linear map that is whole on every process.

    By DTensors its output, the model's, would be a view, and FSDP2 loses its hook when somebody
    writes to that in place.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Map (..., fan-in) to (..., fan-out)."""
        weight: Any = self.weight
        return F.linear(values, weight.to_local())


def _spread_attention(attention: Attention, mesh: DeviceMesh) -> None:
    plan: dict[str, Any] = {name: ColwiseParallel() for name in ("query", "key", "value")}
    parallelize_module(attention, mesh, {**plan, "output": RowwiseParallel()})
    # Made a DTensor once for all three, so that their gradients are added before they are sent.
    replicated = (Replicate(), None, None)
    whole = PrepareModuleInput(input_layouts=replicated, desired_input_layouts=replicated)
    parallelize_module(attention, mesh, whole)
    for name in ("query_norm", "key_norm"):
        norm = getattr(attention, name)
        if isinstance(norm, nn.RMSNorm):
            setattr(attention, name, _norm_of_heads(norm, mesh))


def _spread_mlp(mlp: MLP, mesh: DeviceMesh) -> None:
    into = ("up",) if mlp.gate is None else ("gate", "up")
    plan: dict[str, Any] = {name: ColwiseParallel() for name in into}
    parallelize_module(mlp, mesh, {**plan, "down": RowwiseParallel()})
    whole = PrepareModuleInput(input_layouts=Replicate(), desired_input_layouts=Replicate())
    parallelize_module(mlp, mesh, whole)


def _norm_of_heads(norm: nn.RMSNorm, mesh: DeviceMesh) -> _NormOfHeads:
    shared = _NormOfHeads(norm.normalized_shape, eps=norm.eps, device="meta")
    shared.weight = norm.weight
    distribute_module(shared, mesh)
    return shared


def _head(head: nn.Linear, mesh: DeviceMesh) -> _Head:
    whole = _Head(head.in_features, head.out_features, bias=False, device="meta")
    whole.weight = head.weight
    distribute_module(whole, mesh)
    return whole


def _replicate(module: nn.Module, mesh: DeviceMesh) -> None:
    """Keep a module's parameters whole on every process, as DTensors."""

    def enter(_: nn.Module, inputs: Any, mesh: DeviceMesh) -> Any:
        return tuple(DTensor.from_local(i, mesh, [Replicate()], run_check=False) for i in inputs)

    def leave(_: nn.Module, output: Any, mesh: DeviceMesh) -> Any:
        return output.to_local()

    distribute_module(module, mesh, input_fn=enter, output_fn=leave)


def _refuse(model: GPT, mesh: DeviceMesh) -> None:
    if mesh.ndim != 1:
        raise WindtunnelError(
            f"tensor_parallel_: the mesh has {mesh.ndim} dimensions; give one of them, as in "
            "mesh['tensor']"
        )
    processes = mesh.size()
    for block in model.blocks:
        assert isinstance(block, Block)
        if isinstance(block.mlp.up, UnitScaledLinear):
            raise WindtunnelError(
                "tensor_parallel_: unit-scaled operations count the elements that their factors "
                "need on one process; build the family without unit_scaled"
            )
        heads = block.attention.query.out_features // model.head_size
        shared = block.attention.key.out_features // model.head_size
        channels = block.mlp.up.out_features
        for what, count, option in (
            ("query heads", heads, "the width or head_size"),
            ("key and value heads", shared, "query_groups or the width"),
            ("MLP channels", channels, "mlp_ratio"),
        ):
            if count % processes:
                raise WindtunnelError(
                    f"tensor_parallel_: {count} {what} don't divide evenly over {processes} "
                    f"processes; change {option}, or spread over fewer processes"
                )
