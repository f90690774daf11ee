from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from windtunnel.parametrization.watch import OUTPUT, Watch, first_tensor


def watched(model: nn.Module, change, inputs: torch.Tensor, blocks: str | None = None) -> Watch:
    """Change the weights after the watch has begun, then run once with own updates."""
    watch = Watch(model, blocks)
    with torch.no_grad():
        change(model)
    watch.begin(own_updates=True)
    model(inputs)
    return watch


def double_first(model: nn.Sequential) -> None:
    model[0].weight.mul_(2.0)


def test_an_own_update_is_the_change_of_weights_times_the_present_input() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    first = model[0].weight.detach().clone()
    x = torch.randn(5, 3)
    watch = watched(model, double_first, x)
    torch.testing.assert_close(watch.own_updates["0"], x @ first.T)  # 2W - W
    assert torch.equal(watch.own_updates["1"], torch.zeros(5, 2))  # it only inherits
    assert list(watch.outputs) == ["0", "1", OUTPUT]
    assert OUTPUT not in watch.own_updates


def test_what_overwrites_the_input_afterwards_does_no_harm() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3, bias=False)

        def forward(self, x):
            y = self.linear(x)
            x.zero_()
            return y

    model = InPlace()
    first = model.linear.weight.detach().clone()
    x = torch.ones(2, 3)
    watch = watched(model, lambda m: m.linear.weight.mul_(2.0), x.clone())
    torch.testing.assert_close(watch.own_updates["linear"], x @ first.T)


def test_running_statistics_are_updated_once() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    watched(model, lambda m: m[0].weight.mul_(2.0), torch.randn(8, 3))
    assert int(model[0].num_batches_tracked) == 1


def test_dropout_is_no_update_and_draws_stay_as_they_were() -> None:
    class Dropped(nn.Linear):
        def forward(self, x):
            return F.dropout(super().forward(x), 0.5)

    torch.manual_seed(0)
    model = nn.Sequential(Dropped(3, 4), Dropped(4, 4))
    x = torch.randn(5, 3)
    torch.manual_seed(1)
    expected = model(x)
    torch.manual_seed(1)
    watch = watched(model, lambda m: None, x)
    assert torch.equal(watch.outputs[OUTPUT], expected)
    assert all(not change.any() for change in watch.own_updates.values())


def test_a_tied_head_is_compared_with_its_own_first_table() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
            self.head.weight = self.table.weight

        def forward(self, tokens):
            return self.head(self.table(tokens))

    model = Tied()
    first = model.table.weight.detach().clone()
    tokens = torch.tensor([[1, 2]])
    watch = watched(model, lambda m: m.table.weight.mul_(3.0), tokens)
    torch.testing.assert_close(watch.own_updates["table"], 2 * first[tokens])
    torch.testing.assert_close(watch.own_updates["head"], 3 * first[tokens] @ (2 * first).T)


def test_blocks_are_watched_though_they_hold_nothing_themselves() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 3)))
    watch = watched(model, lambda m: None, torch.randn(2, 3), blocks="*")
    assert list(watch.outputs) == ["0.0", "0", OUTPUT]
    assert "0" not in watch.own_updates


@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: (t, 1), lambda t: {"loss": 1, "logits": t}]
)
def test_the_tensor_that_matters(wrap) -> None:
    tensor = torch.ones(2)
    assert first_tensor(wrap(tensor)) is tensor
    assert first_tensor(None) is None
