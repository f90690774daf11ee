"""Spread a model over the processes that train it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.training.execution import Execution
from windtunnel.training.ranks import DATA, TENSOR, Ranks
from windtunnel.training.recompute import blocks_of, recompute_blocks_

if TYPE_CHECKING:
    from windtunnel.models.family import Family


def spread(
    model: nn.Module, family: Family, execution: Execution, ranks: Ranks, compiled: Path
) -> nn.Module:
    """Recompute, compile, cut or copy the model, in place; names stay what they were.

    Args:
        model: Whole, the same on every process, on its device.
        family: Its family; its declared blocks are recomputed, compiled and cut one by one.
        execution: What is wanted.
        ranks: The processes.
        compiled: Folder of the code that torch compiles for this run; two runs never share one,
            since a process that is killed while it writes may leave a broken one behind.

    Returns:
        What is called in a step: the model itself, or torch's DDP around it.

    Raises:
        WindtunnelError: The family declares no blocks and they are to be recomputed, or can't be
            cut into layers' parts.
    """
    blocks = blocks_of(model, family.declarations)
    if ranks.mesh is not None and ranks.mesh[TENSOR].size() > 1:
        _cut_layers(model, family, ranks)
    if execution.recompute:
        recompute_blocks_(model, family.declarations)
    if execution.compile:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(compiled)
        for part in blocks or [model]:
            part.compile()
    if ranks.mesh is None or ranks.data_count == 1:
        return model
    if execution.sharding == "ddp":
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model, process_group=ranks.mesh[DATA].get_group())
    from torch.distributed.fsdp import fully_shard

    for part in [*blocks, model]:
        fully_shard(part, mesh=ranks.mesh[DATA])
    return model


def _cut_layers(model: nn.Module, family: Family, ranks: Ranks) -> None:
    cut: Any = getattr(family, "tensor_parallel", None)
    if cut is None:
        raise WindtunnelError(
            f"training.tensor: family {family.name} can't cut its layers among processes; leave "
            "it at 1 and let fsdp cut the parameters"
        )
    assert ranks.mesh is not None
    cut(model, ranks.mesh[TENSOR])


def synchronise(model: nn.Module, *, now: bool) -> Any:
    """While it is entered, whether a backward pass under DDP sends its gradients.

    FSDP2 sends in every pass: what a pass leaves behind is then no larger than a shard.
    """
    from contextlib import nullcontext

    from torch.nn.parallel import DistributedDataParallel

    if isinstance(model, DistributedDataParallel) and not now:
        return model.no_sync()
    return nullcontext()
