"""What a training step holds beside parameters, gradients and optimizer state, without training."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Batch, Family
from windtunnel.scale import Scale
from windtunnel.training.recompute import recompute_blocks_

logger = logging.getLogger(__name__)


def activation_bytes(
    family: Family,
    scale: Scale,
    batch: Batch,
    *,
    precision: str = "fp32",
    recompute: bool = False,
    device: str = "cpu",
) -> int | None:
    """The most that one forward and backward pass holds at a time, beside the persistent tensors.

    The pass is made with fake tensors, which have shapes and no storage, by the kernels that the
    device would choose; each new storage counts from its making until nothing refers to it. So
    what autograd saves, casts to bfloat16, logits and their gradients are all in it. What a kernel
    takes for itself and an allocator's gaps are not.

    Args:
        family: What builds the model and computes the loss.
        scale: The model's.
        batch: Inputs and targets of one micro-batch; only their shapes and dtypes are looked at.
        precision: `fp32`, or `bf16` for autocast.
        recompute: Whether blocks keep their inputs only.
        device: Where it would be trained; a GPU has to be there.

    Returns:
        Bytes; None where the family's code needs values, so that it can't say.

    Raises:
        WindtunnelError: The family has no model of this scale, or no blocks to recompute.
    """
    place = torch.device(device)
    try:
        with _quiet(), FakeTensorMode(), place:
            model = family.build(scale).train()
            persistent = []
            for parameter in model.parameters():
                parameter.grad = torch.empty_like(parameter)
                persistent += [parameter, parameter.grad]
            fakes = [torch.empty(t.shape, dtype=t.dtype) for t in batch]
            if recompute:
                recompute_blocks_(model, family.declarations)
            return _peak(family, model, (fakes[0], fakes[1]), persistent, precision)
    except WindtunnelError:
        raise
    except Exception as error:  # a family's own code may do anything with values that it hasn't
        logger.debug("activations of family %s are not known: %s", family.name, error)
        return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from printing the traceback of an operation that has no fake form."""
    its = logging.getLogger(FakeTensorMode.__module__)
    before, its.disabled = its.disabled, True
    try:
        yield
    finally:
        its.disabled = before


def _peak(
    family: Family, model: nn.Module, batch: Batch, persistent: list[Tensor], precision: str
) -> int:
    """Bytes at the highest point of a forward and backward pass under fake tensors."""
    cast: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if precision == "bf16":
        cast = torch.autocast(batch[0].device.type, dtype=torch.bfloat16)
    held = [*persistent, *model.buffers(), *batch]
    live = _LiveBytes(held)
    with live:
        with cast:
            loss = family.loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
    return live.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of storages made inside the block, each until it is freed.

    Attributes:
        peak: The most there were at a time.
    """

    def __init__(self, not_counted: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in not_counted}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        self.peak = max(self.peak, self._live)
        return found

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._live += size
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._live -= size
