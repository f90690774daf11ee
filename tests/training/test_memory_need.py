from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models import Family, build_family
from windtunnel.models.family import Batch
from windtunnel.scale import Run, Scale
from windtunnel.training.activations import activation_bytes
from windtunnel.training.memory_need import MemoryNeed, memory_need, refuse_what_does_not_fit

# A tiny GPT of width 8: two tables of 32 rows, attention, SwiGLU, three gains.
ELEMENTS = 2 * 32 * 8 + 4 * 8 * 8 + 3 * 8 * 24 + 3 * 8
GIB = 2**30

# Freed blocks go back to the system at once here, so that a peak is what was in use.
MEASURED = """
import pathlib, resource, torch
from windtunnel.models import build_family
from windtunnel.scale import Scale
from windtunnel.training.recompute import recompute_blocks_
torch.set_num_threads(1)
family = build_family("gpt", {"head_size": 32}, vocabulary_size=4096, sequence_length=256)
def peak():
    # Not getrusage's, which a process inherits from the one that started it.
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
def held():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return resource.getpagesize() * int(pages)
def step(scale, sequences, recompute):
    model = family.build(scale)
    if recompute:
        recompute_blocks_(model, family.declarations)
    tokens = torch.zeros(sequences, 256, dtype=torch.long)
    for _ in range(2):
        family.loss(model, (tokens, tokens)).backward()
step(Scale(width=32, depth=1), 1, True)
before = held()
for recompute in (True, False):
    step(Scale(width=256, depth=3), 4, recompute)
    print(peak() - before)
"""


def tokens(sequences: int, length: int) -> Batch:
    batch = torch.empty(sequences, length, dtype=torch.long, device="meta")
    return batch, batch


class _Exponentials:
    """Loss: the sum of exp(exp(w * x))."""

    name = "exponentials"

    def build(self, scale: Scale) -> nn.Module:
        return nn.ParameterList([nn.Parameter(torch.ones(1))])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        (weight,) = model.parameters()
        return torch.exp(torch.exp(weight * batch[0])).sum()


class _Curious(_Exponentials):
    """Looks at values."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return super().loss(model, batch) if batch[0].sum().item() else torch.zeros(())


def test_persistent_tensors_by_hand(family: Family, run: Run) -> None:
    run = run.replace(scale=Scale(width=8, depth=1, units=64))
    need = memory_need(run, family, tokens(2, 16))
    assert need.parameters == need.gradients == 4 * ELEMENTS
    assert need.optimizer_state == 2 * 4 * ELEMENTS
    assert need.activations is not None
    assert need.total == 4 * 4 * ELEMENTS + need.activations
    assert need.gathered == 0


def test_muon_keeps_one_moment_of_hidden_matrices(family: Family, run: Run) -> None:
    run = run.replace(scale=Scale(width=8, depth=1, units=64), optimizer="muon")
    hidden = 4 * 8 * 8 + 3 * 8 * 24
    need = memory_need(run, family, tokens(2, 16))
    assert need.optimizer_state == 4 * (hidden + 2 * (ELEMENTS - hidden))


def test_ranks_share_what_is_sharded(family: Family, run: Run) -> None:
    run = run.replace(scale=Scale(width=8, depth=1, units=64))
    alone, shared = (memory_need(run, family, tokens(2, 16), ranks=ranks) for ranks in (1, 4))
    assert shared.parameters == alone.parameters / 4
    assert shared.optimizer_state == (alone.optimizer_state or 0) / 4
    assert shared.activations == alone.activations
    outside, block = 2 * 32 * 8 + 8, ELEMENTS - 2 * 32 * 8 - 8
    assert shared.gathered == 4 * (outside + 2 * block + max(outside, block))


def test_activations_by_hand() -> None:
    # At most three tensors of the batch's size at a time: both exponentials, which autograd
    # saved, and the gradient of the outer one. Beside them loss and its gradient.
    batch = torch.empty(1000, 10, device="meta")
    found = activation_bytes(_Exponentials(), Scale(1, 1), (batch, batch))  # type: ignore[arg-type]
    assert found == 3 * 4 * 10_000 + 2 * 4


def test_values_that_are_looked_at_leave_activations_unknown() -> None:
    batch = torch.empty(10, device="meta")
    found = activation_bytes(_Curious(), Scale(1, 1), (batch, batch))  # type: ignore[arg-type]
    assert found is None


def test_need_of_unknown_activations_is_a_lower_bound() -> None:
    need = MemoryNeed(parameters=4, gradients=4, optimizer_state=8, activations=None)
    assert need.total == 16
    assert not need.complete


@pytest.mark.parametrize("options", [{}, {"unit_scaled": True}, {"tied": True, "qk_norm": True}])
def test_every_kind_of_gpt_has_a_number(options: dict[str, bool]) -> None:
    family = build_family(
        "gpt", {"head_size": 4, **options}, vocabulary_size=32, sequence_length=16
    )
    scale = Scale(width=16, depth=3)
    plain, less = (
        activation_bytes(family, scale, tokens(8, 16), recompute=recompute)
        for recompute in (False, True)
    )
    half = activation_bytes(family, scale, tokens(8, 16), precision="bf16")
    assert plain and less and half
    assert less < plain
    assert half < plain


def test_activations_grow_with_the_batch(family: Family) -> None:
    one, four = (activation_bytes(family, Scale(16, 2), tokens(n, 16)) for n in (8, 32))
    assert one and four
    assert four == pytest.approx(4 * one, rel=0.05)


def test_nothing_is_drawn(family: Family) -> None:
    before = torch.get_rng_state()
    activation_bytes(family, Scale(16, 2), tokens(2, 16), recompute=True)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.skipif(sys.platform != "linux", reason="reads a peak in KiB")
def test_need_is_a_measured_peak() -> None:
    family = build_family("gpt", {"head_size": 32}, vocabulary_size=4096, sequence_length=256)
    scale = Scale(width=256, depth=3)
    output = subprocess.run(
        [sys.executable, "-c", MEASURED],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "", "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    persistent = 2 * 4 * family.parameter_count(scale).total
    for recompute, measured in zip((True, False), map(int, output), strict=True):
        found = activation_bytes(family, scale, tokens(4, 256), recompute=recompute)
        assert found is not None
        assert persistent + found == pytest.approx(measured, rel=0.15)


NEED = MemoryNeed(
    parameters=4 * GIB,
    gradients=4 * GIB,
    optimizer_state=8 * GIB,
    activations=15 * GIB,
    ranks=2,
)


def test_what_does_not_fit_is_refused_with_every_number() -> None:
    with pytest.raises(WindtunnelError) as caught:
        refuse_what_does_not_fit(NEED, 22 * GIB, "target")
    assert str(caught.value) == (
        "target: needs 31.0 GiB on each of 2 ranks (parameters 4.0, gradients 4.0, optimizer "
        "state 8.0, activations 15.0) and the device has 22.0 GiB free; shorten "
        "training.micro_batch, turn training.recompute on, or use more ranks."
    )


def test_unknown_parts_are_named() -> None:
    unknown = dataclasses.replace(NEED, activations=None, ranks=1)
    with pytest.raises(WindtunnelError, match=r"needs at least 16\.0 GiB \(.*not known\)"):
        refuse_what_does_not_fit(unknown, 2**20, "run")


@pytest.mark.parametrize("available", [None, 31 * GIB])
def test_what_fits_or_can_not_be_told_is_not_refused(available: int | None) -> None:
    refuse_what_does_not_fit(NEED, available, "target")
