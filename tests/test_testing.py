from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from windtunnel.testing import assert_check


def build(width: int, depth: int) -> nn.Module:
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), *hidden, nn.Linear(width, 4))


def step(model: nn.Module, batch) -> torch.Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def batch(seed: int):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(64, 8, generator=generator)
    return inputs, inputs[:, :4].argmax(dim=1)


def test_a_users_model_passes_under_mup() -> None:
    assert assert_check(build, step, batch=batch, lr=0.003).verdict == "pass"


def test_the_message_names_module_slope_and_range() -> None:
    with pytest.raises(AssertionError, match=r"rule 'sp': fail\n  width: fail: .*range \+"):
        assert_check(build, step, batch=batch, lr=0.003, rule="sp")


def test_too_few_widths_are_no_pass() -> None:
    with pytest.raises(AssertionError, match="cannot say"):
        assert_check(build, step, batch=batch, lr=0.003, widths=(32, 64))


def test_a_torch_optimizer_can_be_given_by_its_class() -> None:
    options = {"batch": batch, "lr": 0.1, "optimizer": torch.optim.SGD}
    options |= {"widths": (64, 128, 256), "seeds": range(8)}  # gradients scatter more than signs
    assert assert_check(build, step, **options).verdict == "pass"
    with pytest.raises(AssertionError, match="0's own update at step 5 scales as width"):
        assert_check(build, step, rule="sp", **options)
