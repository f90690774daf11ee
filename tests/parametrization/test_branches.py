from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.branches import find_branches
from windtunnel.scale import Scale


class Block(nn.Module):
    """A residual block whose branch ends as `end` says."""

    def __init__(self, end) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)
        self.gate, self.norm, self.end = nn.Linear(4, 4), nn.RMSNorm(4), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self, x, F.gelu(self.up(F.layer_norm(x, (4,)))))


class Stack(nn.Module):
    def __init__(self, end, depth: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.blocks = nn.ModuleList(Block(end) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x


def found(end) -> tuple[str, ...]:
    declared = find_branches(Stack(end), torch.randn(2, 3))
    assert declared.blocks == "blocks.*"
    return declared.branch_outputs


@pytest.mark.parametrize("tied", [False, True])
def test_the_built_in_family_declares_what_is_found(tied: bool) -> None:
    family = GPTFamily(
        vocabulary_size=11, head_size=8, tied=tied, qk_norm=True, query_groups=2, activation="relu2"
    )
    with torch.device("meta"):
        declared = find_branches(family.build(Scale(32, 3)), torch.zeros(2, 5, dtype=torch.long))
    assert declared.blocks == family.declarations.blocks
    assert declared.branch_outputs == family.declarations.branch_outputs


@pytest.mark.parametrize(
    "end",
    [
        lambda m, x, h: x + m.down(h),
        lambda m, x, h: m.down(h) + x,
        lambda m, x, h: x + 0.5 * F.dropout(m.down(h), 0.1),
        lambda m, x, h: torch.add(x, m.down(h).view(-1, 2, 2).reshape(-1, 4)),
        lambda m, x, h: 0.7 * x + m.down(h) / 2,
        lambda m, x, h: m.down(h).add_(x),
        lambda m, x, h: F.relu(x + m.down(h)),
        lambda m, x, h: m.norm(x + m.down(h)),
        lambda m, x, h: x + m.gate(x)[:, :1] * m.down(h),
    ],
)
def test_a_branch_is_followed_to_its_last_linear_map(end) -> None:
    assert found(end) == ("blocks.*.down",)


def test_a_norm_after_the_last_map_is_the_output() -> None:
    assert found(lambda m, x, h: x + m.norm(m.down(h))) == ("blocks.*.norm",)


def test_a_mask_or_a_long_skip_is_no_branch() -> None:
    class Masked(nn.Module):
        """Every block adds the same mask to its scores; the end adds the beginning."""

        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            beginning = x
            for block in self.blocks:
                scores = block(x) @ x.mT + mask
                x = x + block(scores.softmax(-1) @ x)
            return x + beginning

    declared = find_branches(Masked(), torch.randn(2, 3, 4), torch.randn(1, 3, 3))
    assert declared.branch_outputs == ("blocks.*",)


def test_parallel_branches_are_both_found() -> None:
    both = found(lambda m, x, h: x + (m.down(h) + m.gate(x)))
    assert set(both) == {"blocks.*.down", "blocks.*.gate"}


@pytest.mark.parametrize(
    "end",
    [
        lambda m, x, h: x + torch.tanh(m.down(h)),
        lambda m, x, h: x + F.layer_norm(m.down(h), (4,)),
        lambda m, x, h: x + m.down(h) * torch.rsqrt(m.down(h).pow(2).mean() + 1),
        lambda m, x, h: x + (m.down(h) + 1),
        lambda m, x, h: x + m.norm.weight.add(1) * F.layer_norm(m.down(h), (4,)),
    ],
)
def test_a_branch_that_takes_no_multiplier_is_refused_by_name(end) -> None:
    with pytest.raises(
        WindtunnelError, match=r"blocks\.\*\.(down|norm)\.weight.* not linear.*declare"
    ):
        found(end)


@pytest.mark.parametrize(
    "end",
    [
        lambda m, x, h: m.down(h),
        lambda m, x, h: m.gate(x) + m.down(h),
        lambda m, x, h: m.down(h) + 0.04 * m.down(h).pow(3),
        lambda m, x, h: torch.cat([x, m.down(h)], -1)[:, 2:6],
    ],
)
def test_a_model_without_branches_says_so(end) -> None:
    with pytest.raises(WindtunnelError, match=r"Stack adds no module's output.*declare"):
        found(end)


def test_one_block_does_not_tell_its_index() -> None:
    model = Stack(lambda m, x, h: x + m.down(h), depth=1)
    with pytest.raises(WindtunnelError, match=r"blocks\.0\.down.*2 blocks or more"):
        find_branches(model, torch.randn(2, 3))


def test_a_stack_of_experts_is_named_by_its_parameter() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Parameter(torch.randn(3, 8, 4))
            self.down = nn.Parameter(torch.randn(3, 4, 8))

        def forward(self, x: Tensor) -> Tensor:
            mixed = torch.zeros_like(x)
            for i in range(3):
                rows = torch.arange(i, len(x), 3)
                mixed.index_add_(
                    0, rows, F.linear(F.gelu(F.linear(x[rows], self.up[i])), self.down[i])
                )
            return x + mixed

    model = nn.Sequential(Experts(), Experts())
    assert find_branches(model, torch.randn(6, 4)).branch_outputs == ("*.down",)


class Residual(nn.Module):
    """The basic block of He et al. 2016, with a projection where the size changes."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.skip = nn.Conv2d(before, after, 1) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        out += x if self.skip is None else self.skip(x)
        return F.relu(out)


def test_a_resnet_s_branches_end_in_a_norm() -> None:
    stages = [nn.Sequential(Residual(c, 2 * c), Residual(2 * c, 2 * c), Residual(2 * c, 2 * c))
              for c in (4, 8)]  # fmt: skip
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(*stages))
    model.train()
    running = model[1][0][0].bn1.running_mean.clone()
    declared = find_branches(model, torch.randn(2, 3, 8, 8))
    assert declared.blocks == "1.*.*"
    assert declared.branch_outputs == ("1.*.*.bn2",)
    assert model.training and model[1][0][0].bn1.training
    assert torch.equal(model[1][0][0].bn1.running_mean, running)


def test_several_stacks_are_named() -> None:
    model = nn.ModuleDict({"a": Stack(lambda m, x, h: x + m.down(h)).blocks,
                           "b": Stack(lambda m, x, h: x + m.down(h)).blocks})  # fmt: skip

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = model

        def forward(self, x: Tensor) -> Tensor:
            for block in [*self.parts["a"], *self.parts["b"]]:
                x = block(x)
            return x

    with pytest.raises(
        WindtunnelError, match=r"parts\.a\.\*\.down, parts\.b\.\*\.down repeat in no"
    ):
        find_branches(Both(), torch.randn(2, 4))
