"""What a model may go through on its way to training, in each of three packages."""

from __future__ import annotations

import copy
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from oracle_equality import batch
from oracle_models import TOKENS, Block, Transformer
from oracle_sides import (
    BASE,
    LR,
    TARGET,
    Mup,
    Side,
    UnexpectedError,
    UnitScaling,
    Windtunnel,
    train,
)
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations
from windtunnel.optimizers.muon import matched_factor
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.rates import guard_rates
from windtunnel.scale import Scale

Cell = Callable[[], object] | str  # what to run, or why there is nothing to run
NO_BASE = "n/a: it has no base"


# --- What any model may go through -----------------------------------------------------------


def deep_copy(side: Side) -> None:
    """A copy trains as the original would."""
    train(side, copy.deepcopy(side.build()))


def average(side: Side) -> None:
    """An average of weights (EMA) can be evaluated."""
    torch.optim.swa_utils.AveragedModel(side.build())(batch()[0])


def assigned(side: Side) -> None:
    """Weights are assigned, not copied, from a checkpoint."""
    model = side.build()
    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)
    train(side, model)


def from_meta(side: Side) -> None:
    """Built without storage, then filled from a checkpoint."""
    model = side.empty().to_empty(device="cpu")
    model.load_state_dict(side.build().state_dict())
    train(side, model)


def swapped(side: Side) -> None:
    """Its dtype changes by swapping parameters, as torch's future default does."""
    model = side.build()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        model = model.double()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    train(side, model)


def exported(side: Side) -> None:
    """torch.export captures the forward pass."""
    model, tokens = side.build(), batch()[0]
    program = torch.export.export(model, (tokens,)).module()
    if not torch.allclose(program(tokens), model(tokens), atol=1e-6):
        raise UnexpectedError("the exported program computes something else")


def functional(side: Side) -> None:
    """torch.func.functional_call computes with weights from outside."""
    model, tokens = side.build(), batch()[0]
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    if not torch.equal(torch.func.functional_call(model, weights, (tokens,)), model(tokens)):
        raise UnexpectedError("it computes something else")


def sharded(side: Side) -> None:
    """FSDP2, one rank on the CPU."""
    from torch.distributed.fsdp import fully_shard

    model = side.build()
    with process_group() as mesh:
        for block in model.blocks:  # type: ignore[union-attr]
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        train(side, model)


@contextmanager
def process_group() -> Iterator[Any]:
    """A process group of this process alone, and its mesh."""
    with tempfile.TemporaryDirectory() as folder:
        store = torch.distributed.FileStore(  # type: ignore[attr-defined]
            str(Path(folder) / "store"), 1
        )
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        try:
            yield torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        finally:
            torch.distributed.destroy_process_group()


JOURNEYS: dict[str, Callable[[Side], None]] = {
    "`copy.deepcopy`, then train": deep_copy,
    "average of weights (EMA), then evaluate": average,
    "`load_state_dict(assign=True)`, then train": assigned,
    "meta device, `to_empty`, load, then train": from_meta,
    "`.double()` that swaps parameters, then train": swapped,
    "`torch.export`": exported,
    "`torch.func.functional_call`": functional,
    "FSDP2 (one rank), then train": sharded,
}


# --- Models that need more than one setting --------------------------------------------------


class GroupedBlock(Block):
    """All query heads share one head of keys and values: as wide as a head at any width."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.key, self.value = nn.Linear(width, 8), nn.Linear(width, 8)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        x = self.norm1(hidden)
        query = self.query(x).unflatten(-1, (-1, 8)).transpose(1, 2)
        key, value = (layer(x).unsqueeze(1).expand_as(query) for layer in (self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.output(mixed.transpose(1, 2).flatten(2))
        branch: Tensor = self.down(F.gelu(self.up(self.norm2(hidden))))
        return hidden + branch


class Grouped(Transformer):
    """`Transformer` with shared keys and values."""

    def __init__(self, width: int, depth: int, readout: type[nn.Linear] = nn.Linear) -> None:
        super().__init__(width, depth, readout)
        self.blocks = nn.ModuleList(GroupedBlock(width) for _ in range(depth))


class Tied(Transformer):
    """`Transformer` whose head is its embedding, which starts small."""

    def __init__(self, width: int, depth: int, readout: Any = nn.Linear) -> None:
        super().__init__(width, depth)
        nn.init.normal_(self.embedding.weight, std=0.02)
        if readout is nn.Linear:
            self.readout = nn.Linear(width, TOKENS, bias=False)
            self.readout.weight = self.embedding.weight
        else:
            self.readout = readout(self.embedding.weight, bias=False)


def tied_here() -> None:
    """The plan puts the readout's multiplier into the final norm's gain."""
    side = Windtunnel(Tied, Declarations(blocks="blocks.*", tied_head_gain="norm.weight"))
    model = side.build()
    apply_(model, side.plan(), family=side.family(), init_seed=0)
    keeps_its_size(model.embedding.weight)  # type: ignore[arg-type, union-attr]
    train(side, model)


def tied_in_mup(mup: Mup) -> None:
    """With `MuSharedReadout`, as its README has it."""
    shared = mup.package.MuSharedReadout
    model, base, delta = (Tied(width, 2, shared) for width in (TARGET.width, BASE.width, 48))
    mup.package.set_base_shapes(model, base, delta=delta)
    keeps_its_size(model.embedding.weight)


def keeps_its_size(table: Tensor) -> None:
    """Raise unless a table that was drawn with deviation 0.02 still has it."""
    if abs(float(table.detach().std()) / 0.02 - 1) > 0.1:
        raise UnexpectedError(
            f"the table starts with deviation {float(table.detach().std()):.3f}, not 0.02"
        )


def plain_in_mup(mup: Mup) -> None:
    """Without MuReadout."""
    models = (Transformer(width, 2) for width in (TARGET.width, BASE.width, 48))
    model, base, delta = models
    train(mup, mup.package.set_base_shapes(model, base, delta=delta))


def twice_in_mup(mup: Mup) -> None:
    """Base shapes are set again."""
    mup.shaped(mup.build())


def twice_here(side: Windtunnel) -> None:
    """Planned and grouped again."""
    model = side.build()
    side.optimizer(model)
    train(side, model)


def muon_here(side: Windtunnel) -> None:
    """The plan knows what Muon itself puts on a matrix' rate; together they change nothing."""
    entry = side.plan("muon")["blocks.0.query.weight"]
    check_rate(entry.lr * matched_factor(entry.shape) / matched_factor(entry.base_shape))


def muon_in_mup(mup: Mup) -> None:
    """Its MuAdam takes the class of any optimizer."""
    model = mup.build()
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]  # type: ignore[union-attr]
    optimizer = mup.package.MuAdam(matrices, impl=torch.optim.Muon, lr=LR)
    query = model.get_parameter("blocks.0.query.weight")
    rates = [g["lr"] for g in optimizer.param_groups if any(p is query for p in g["params"])]
    check_rate(rates[0] / LR)


def check_rate(rate: float) -> None:
    """An orthogonal update of a square matrix moves its output alike at any width."""
    if abs(rate - 1.0) > 1e-9:
        raise UnexpectedError(f"square matrices get {rate:g} times their rate at base, unasked")


def absolute(side: Side) -> None:
    """Someone sets every group's rate to one value, as many schedulers do."""
    model = side.build()
    optimizer = side.optimizer(model)
    if isinstance(side, Windtunnel):
        guard_rates(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = LR / 2
    torch.autograd.backward(model(batch()[0]).sum())
    try:
        optimizer.step()
    except WindtunnelError:
        return
    raise UnexpectedError("all groups have one rate now, and it trains on without a word")


def rows(mup: Mup | None, unit_scaling: UnitScaling | None) -> dict[str, list[Cell]]:
    """By what the model goes through: here, in mup, in unit-scaling."""
    here = Windtunnel()

    def cell(side: Any, run: Callable[[Any], object]) -> Cell:
        return "not installed" if side is None else lambda: run(side)

    found: dict[str, list[Cell]] = {
        name: [cell(side, run) for side in (here, mup, unit_scaling)]
        for name, run in JOURNEYS.items()
    }
    deep = Scale(32, 4)
    found["a model of torch's own modules"] = [
        cell(here, lambda side: train(side, side.build())),
        cell(mup, plain_in_mup),
        cell(unit_scaling, lambda side: train(side, here.build())),
    ]
    found["a base of another depth"] = [
        lambda: train(Windtunnel(base=deep), here.build()),
        cell(mup, lambda side: Mup(side.package, base=deep).build()),
        NO_BASE,
    ]
    found["keys and values of fixed width (grouped queries)"] = [
        lambda: train(Windtunnel(Grouped), Windtunnel(Grouped).build()),
        cell(mup, lambda side: train(side, Mup(side.package, Grouped).build())),
        "n/a: every linear layer scales by its own shape",
    ]
    found["a tied head keeps the scale of its table"] = [
        tied_here,
        cell(mup, tied_in_mup),
        "n/a: tables start at scale one",
    ]
    found["set up a second time"] = [cell(here, twice_here), cell(mup, twice_in_mup), NO_BASE]
    found["torch's Muon is not scaled twice"] = [
        cell(here, muon_here),
        cell(mup, muon_in_mup),
        "n/a: it has no rule for Muon",
    ]
    found["one absolute rate for all groups is refused"] = [
        cell(side, absolute) for side in (here, mup, unit_scaling)
    ]
    return found


def groups_of_eight_blocks(mup: Mup | None, unit_scaling: UnitScaling | None) -> list[str]:
    """How many parameter groups an optimizer of a model of eight blocks has."""
    base, target = Scale(32, 8), Scale(64, 8)
    sides: list[Side | None] = [
        Windtunnel(base=base, target=target),
        None if mup is None else Mup(mup.package, base=base, target=target),
        None if unit_scaling is None else UnitScaling(unit_scaling.package, target),
    ]
    return [
        "not installed" if side is None else str(len(side.optimizer(side.build()).param_groups))
        for side in sides
    ]


def outcome(cell: Cell) -> str:
    """`works`, `fails: ` and the first line of the error, or why it was not run."""
    if isinstance(cell, str):
        return cell
    try:
        cell()
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"fails: {textwrap.shorten(first, 110)}"
    return "works"
