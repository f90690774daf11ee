from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.classes.split import SplitOptimizer


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(3, generator=generator)) for _ in range(3)]


def groups(own: list[nn.Parameter]) -> list[dict[str, Any]]:
    """The middle one is the other part's, so that gathering by part would change the order."""
    return [
        {"params": [own[0]], "lr": 0.1, "method": "sign"},
        {"params": [own[1]], "lr": 0.2, "method": "sgd"},
        {"params": [own[2]], "lr": 0.3, "method": "sign"},
    ]


def split(own: list[nn.Parameter]) -> SplitOptimizer:
    return SplitOptimizer(
        groups(own),
        {"sign": lambda g: AdamW(g, weight_decay=0.1), "sgd": lambda g: SGD(g, momentum=0.9)},
    )


def advance(own: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        sum((p**4).sum() for p in own).backward()  # type: ignore[union-attr]
        optimizer.step()


def equal(left: list[nn.Parameter], right: list[nn.Parameter]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_parts_step_as_they_do_alone() -> None:
    own, beside = parameters(), parameters()
    one = split(own)
    first, middle, last = groups(beside)
    alone = AdamW([first, last], weight_decay=0.1), SGD([middle], momentum=0.9)
    advance(own, one, 3)
    for _ in range(3):
        for p in beside:
            p.grad = None
        sum((p**4).sum() for p in beside).backward()  # type: ignore[union-attr]
        for part in alone:
            part.step()
    assert equal(own, beside)


def test_groups_keep_their_order_and_parts_see_a_changed_rate() -> None:
    own = parameters()
    optimizer = split(own)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2, 0.3]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [p.detach().clone() for p in own]
    advance(own, optimizer, 2)
    assert all(torch.equal(a, b) for a, b in zip(own, before, strict=True))


def test_state_holds_every_parameter() -> None:
    own = parameters()
    optimizer = split(own)
    advance(own, optimizer, 1)
    assert set(optimizer.state) == set(own)
    assert set(optimizer.state_dict()["state"]) == {0, 1, 2}


@pytest.mark.parametrize("fresh_steps", [0, 1])
def test_a_loaded_state_goes_on_bit_for_bit(fresh_steps: int) -> None:
    own, beside = parameters(), parameters()
    optimizer = split(own)
    advance(own, optimizer, 2)
    other = split(beside)
    advance(beside, other, fresh_steps)  # what was there before is forgotten
    with torch.no_grad():
        for mine, theirs in zip(beside, own, strict=True):
            mine.copy_(theirs)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, parameters_of_it in ((optimizer, own), (other, beside)):
        for group in one.param_groups:
            group["lr"] = 0.05
        advance(parameters_of_it, one, 2)
    assert equal(own, beside)


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))],
    ids=["copy", "pickle"],
)
def test_a_copy_goes_on_bit_for_bit_and_leaves_the_original_alone(
    duplicate: Callable[[Any], Any],
) -> None:
    own = parameters()
    optimizer = AdamWAndSGD(own)
    advance(own, optimizer, 2)
    before = [p.detach().clone() for p in own]
    twins, twin = duplicate((own, optimizer))
    advance(twins, twin, 2)
    assert all(torch.equal(a, b) for a, b in zip(own, before, strict=True))
    advance(own, optimizer, 2)
    assert equal(own, twins)


class AdamWAndSGD(SplitOptimizer):
    """Importable by name, as pickling wants it."""

    def __init__(self, own: list[nn.Parameter]) -> None:
        super().__init__(groups(own), {"sign": AdamW, "sgd": SGD})


def test_a_multiplying_scheduler_reaches_all_parts() -> None:
    own = parameters()
    optimizer = split(own)
    scheduler = LambdaLR(optimizer, lambda step: 0.5**step)
    advance(own, optimizer, 1)
    scheduler.step()
    assert [group["lr"] for group in optimizer.parts["sign"].param_groups] == [0.05, 0.15]
    assert [group["lr"] for group in optimizer.parts["sgd"].param_groups] == [0.1]


def test_an_added_group_is_trained_once() -> None:
    own = parameters()
    optimizer = split(own)
    extra, beside = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer.add_param_group({"params": [extra], "lr": 0.1, "method": "sgd"})
    extra.grad, beside.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    SGD([beside], lr=0.1, momentum=0.9).step()
    assert torch.equal(extra, beside)
    assert optimizer.param_groups[-1] is optimizer.parts["sgd"].param_groups[-1]


def test_a_closure_is_evaluated_once_and_its_loss_returned() -> None:
    own = parameters()
    optimizer = split(own)
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = torch.stack([(p**2).sum() for p in own]).sum()
        loss.backward()
        return loss

    before = [p.detach().clone() for p in own]
    loss = optimizer.step(closure)
    assert loss is not None and loss.item() > 0
    assert calls == 1
    assert not any(torch.equal(a, b) for a, b in zip(own, before, strict=True))


def test_a_method_that_no_part_takes_is_refused() -> None:
    with pytest.raises(WindtunnelError, match="method 'kronecker', and the parts take sign"):
        SplitOptimizer(
            [{"params": parameters(), "lr": 0.1, "method": "kronecker"}], {"sign": AdamW}
        )


def test_a_part_without_groups_is_not_made() -> None:
    optimizer = SplitOptimizer(
        [{"params": parameters(), "lr": 0.1, "method": "sign"}], {"sign": AdamW, "sgd": SGD}
    )
    assert set(optimizer.parts) == {"sign"}
