"""What a run needs of a device's memory; a run that would not fit is refused before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Batch, Declarations, Family
from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.parametrization.plan import Plan
from windtunnel.scale import Run
from windtunnel.training.activations import activation_bytes
from windtunnel.training.assemble import planned
from windtunnel.training.recompute import blocks_of

_FLOAT_BYTES = 4  # weights, gradients and optimizer state are float32 in either precision
_GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that one rank has to hold at a step's highest point.

    Attributes:
        parameters: Of the rank's share.
        gradients: Of the rank's share.
        optimizer_state: Of the rank's share; None where nobody said what the optimizer keeps.
        activations: What a micro-batch's forward and backward pass holds beside them at most;
            None where the family's code can't say.
        gathered: What sharding puts together on every rank for the blocks at work: two blocks'
            parameters, one block's gradients, and those outside the blocks. An estimate.
        ranks: How many share parameters, gradients and state.
    """

    parameters: int
    gradients: int
    optimizer_state: int | None
    activations: int | None
    gathered: int = 0
    ranks: int = 1

    @property
    def total(self) -> int:
        """Their sum; what is not known counts nothing."""
        known = (self.parameters, self.gradients, self.gathered)
        return sum(known) + (self.optimizer_state or 0) + (self.activations or 0)

    @property
    def complete(self) -> bool:
        """Whether everything is known, so that the total is no mere lower bound."""
        return self.optimizer_state is not None and self.activations is not None


def memory_need(
    run: Run,
    family: Family,
    batch: Batch,
    *,
    recompute: bool = False,
    ranks: int = 1,
    device: str = "cpu",
) -> MemoryNeed:
    """What one rank of the run needs, found without allocating any of it.

    Gradients count in full beside the activations, as they are there from the second micro-batch
    of a step on; with one micro-batch a step the need is less by up to the gradients. An
    allocator's gaps are not counted: the C library's takes up to 1.5 times as much, with
    recomputation twice (benchmarks/results/training_memory.md).

    Args:
        run: Its scale, optimizer, rule and precision count.
        family: The run's family.
        batch: Inputs and targets of one rank's micro-batch; only shapes and dtypes are looked at,
            so tensors on the meta device do.
        recompute: Whether the blocks' activations are computed again for the backward pass.
        ranks: How many share parameters, gradients and state (FSDP); 1 where each has all.
        device: Where it would be trained: attention's kernels differ.

    Raises:
        WindtunnelError: A name in the run is unknown, or its rule can't place a parameter.
    """
    with torch.device("meta"):
        model = family.build(run.scale)
    held = _elements(model)
    state = _state_elements(planned(run, family), optimizer_method(run.optimizer))
    return MemoryNeed(
        parameters=_share(held, ranks),
        gradients=_share(held, ranks),
        optimizer_state=None if state is None else _share(state, ranks),
        activations=activation_bytes(
            family,
            run.scale,
            batch,
            precision=run.precision,
            recompute=recompute,
            device=device,
        ),
        gathered=_FLOAT_BYTES * _gathered(model, family.declarations) if ranks > 1 else 0,
        ranks=ranks,
    )


def refuse_what_does_not_fit(need: MemoryNeed, available: int | None, what: str) -> None:
    """Refuse a run that needs more than there is.

    Args:
        need: Of one rank.
        available: Bytes the rank's device has left; None where that isn't known: nothing is
            refused.
        what: What is refused, as the message calls it: `target`, say.

    Raises:
        WindtunnelError: It doesn't fit; the message has every number.
    """
    if available is None or need.total <= available:
        return
    each = f"on each of {need.ranks} ranks " if need.ranks > 1 else ""
    least = "" if need.complete else "at least "
    raise WindtunnelError(
        f"{what}: needs {least}{_gib(need.total)} GiB {each}({_parts(need)}) and the device has "
        f"{_gib(available)} GiB free; shorten training.micro_batch, turn training.recompute on, "
        "or use more ranks."
    )


def _parts(need: MemoryNeed) -> str:
    parts = {
        "parameters": need.parameters,
        "gradients": need.gradients,
        "optimizer state": need.optimizer_state,
        "activations": need.activations,
    }
    if need.gathered:
        parts["gathered for the blocks at work"] = need.gathered
    return ", ".join(
        f"{name} {'not known' if size is None else _gib(size)}" for name, size in parts.items()
    )


def _gib(size: int) -> str:
    gibibytes = size / _GIBIBYTE
    return f"{gibibytes:.1f}" if gibibytes >= 1 else f"{gibibytes:.2g}"


def _share(elements: int, ranks: int) -> int:
    return _FLOAT_BYTES * -(-elements // ranks)


def _elements(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _state_elements(plan: Plan, own: OptimizerMethod) -> int | None:
    """Elements that the optimizer keeps of all parameters; None where one's size is not stated."""
    total = 0
    for entry in plan.parameters:
        method = own if entry.method == own.name or own.elsewhere is None else own.elsewhere
        if method.rule is None or method.rule.state_size is None:
            return None
        total += method.rule.state_size(entry.shape)
    return total


def _gathered(model: nn.Module, declarations: Declarations) -> int:
    """Elements that FSDP2 puts together where each block and the model are sharded units."""
    blocks = [_elements(block) for block in blocks_of(model, declarations)]
    largest = max(blocks, default=0)
    outside = _elements(model) - sum(blocks)
    return outside + 2 * largest + max(outside, largest)
