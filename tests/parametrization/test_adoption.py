"""Adopting a plan is safe: nothing changes at base, and nothing loaded is lost."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import clip_gradients_, param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale

BASE, TARGET = Scale(16, 2), Scale(64, 3)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, stream: Tensor) -> Tensor:
        return stream + self.down(torch.tanh(self.up(self.norm(stream))))


def users_own(width: int, depth: int) -> nn.Module:
    """A user's model with an initialisation of the user's own, different in each kind of layer."""
    model = nn.Sequential(
        nn.Linear(6, width), *(Residual(width) for _ in range(depth)), nn.Linear(width, 3)
    )
    for name, parameter in model.named_parameters():
        if name.endswith("down.weight"):
            nn.init.normal_(parameter, std=0.7 / math.sqrt(width * 2 * depth))
        elif name.endswith("up.weight"):
            nn.init.xavier_uniform_(parameter)
        elif parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=0.05, a=-0.1, b=0.1)
        elif name.endswith("up.bias"):
            nn.init.zeros_(parameter)
    return model


def fifty_losses(model: nn.Module, optimizer: torch.optim.Optimizer, clip) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(50):
        inputs = torch.randn(8, 6, generator=generator)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), inputs[:, :3].sin())
        loss.backward()
        clip(model)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-8}),
        (torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.01, "eps": 1e-6}),
        (torch.optim.SGD, {"lr": 0.1, "weight_decay": 1e-3}),
    ],
)
@pytest.mark.parametrize("rule", ["sp", "mup"])
def test_at_base_a_users_own_loop_goes_on_bit_for_bit(optimizer, settings, rule: str) -> None:
    torch.manual_seed(0)
    untouched = users_own(BASE.width, BASE.depth)
    ours = copy.deepcopy(untouched)
    expected = fifty_losses(
        untouched,
        optimizer(untouched.parameters(), **settings),
        lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.3),
    )
    planned = plan(users_own, BASE, BASE, rule, optimizer)
    random_state = torch.get_rng_state()
    apply_(ours, planned, family=users_own, init_seed=3)
    groups = param_groups(ours, planned, **{"eps": None, **settings})
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [{k: v for k, v in g.items() if k != "params"} for g in groups] == [settings]
    found = fifty_losses(ours, optimizer(groups), lambda m: clip_gradients_(m, planned, 0.3))
    assert found == expected
    assert found[-1] < found[0]


def test_planning_and_applying_leave_the_random_state_alone() -> None:
    model = users_own(TARGET.width, TARGET.depth)
    before = torch.get_rng_state()
    planned = plan(users_own, BASE, TARGET, "sp")
    apply_(model, planned, family=users_own, init_seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def fresh(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return users_own(TARGET.width, TARGET.depth)


def applied(model: nn.Module, **options) -> dict[str, Tensor]:
    planned = plan(users_own, BASE, TARGET, "sp")
    apply_(model, planned, family=users_own, init_seed=0, **options)
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_ones_own_laws_are_kept_and_rescaled_and_zeros_stay_zero() -> None:
    torch.manual_seed(0)
    base = dict(users_own(BASE.width, BASE.depth).named_parameters())
    found = applied(fresh())
    planned = plan(users_own, BASE, TARGET, "sp")
    for name in ("1.up.weight", "1.down.weight", "0.weight"):
        expected = float(base[name].detach().std()) * planned[name].init
        assert float(found[name].std()) == pytest.approx(expected, rel=0.15)
    # Uniform stays uniform, and cut stays cut, at the place where the rule's spread puts it.
    assert float(found["1.up.weight"].abs().max() / found["1.up.weight"].std()) < 1.75
    assert float(found["0.weight"].abs().max() / found["0.weight"].std()) < 2.35
    assert not found["1.up.bias"].any()
    assert (found["1.norm.weight"] == 1).all()


def test_applying_twice_gives_the_same_values() -> None:
    model = fresh()
    first, second = applied(model), applied(model)
    assert all(torch.equal(first[name], second[name]) for name in first)


def train_a_little(model: nn.Module) -> None:
    fifty_losses(model, torch.optim.AdamW(model.parameters(), lr=1e-3), lambda m: None)


def train_matrices_a_little(model: nn.Module) -> None:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.ndim > 1], lr=1e-2)
    fifty_losses(model, optimizer, lambda m: None)


def one_bias(model: nn.Module) -> None:
    nn.init.normal_(model[2].up.bias, std=1e-3)


def one_gain(model: nn.Module) -> None:
    model[1].norm.weight.data[3] = 1.001


def another_law(model: nn.Module) -> None:
    model[2].up.weight.data.sign_()


@pytest.mark.parametrize(
    ("load", "name", "evidence"),
    [
        (train_a_little, "1.norm.weight", "a fresh model has 1 everywhere"),
        (train_matrices_a_little, "1.up.weight", "one direction stands out"),
        (one_bias, "2.up.bias", "a fresh model has 0 everywhere"),
        (one_gain, "1.norm.weight", "a fresh model has 1 everywhere"),
        (another_law, "2.up.weight", "distributed otherwise"),
    ],
)
def test_loaded_weights_are_refused_by_name_and_kept(load, name: str, evidence: str) -> None:
    model = fresh()
    load(model)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WindtunnelError, match=rf"{name}: .*{evidence}.*param_groups alone"):
        applied(model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    replaced, expected = applied(model, replace=True), applied(fresh())
    assert all(torch.equal(replaced[key], expected[key]) for key in expected)


def test_a_fresh_model_of_any_seed_is_no_loaded_one() -> None:
    for seed in range(5):
        applied(fresh(seed))


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"qk_norm": True, "query_groups": 2}])
def test_the_built_in_family_raises_no_false_alarm(options) -> None:
    family, base = GPTFamily(vocabulary_size=97, head_size=8, **options), Scale(32, 2)
    for width, depth in ((128, 2), (16, 3)):
        target = Scale(width, depth)
        planned = plan(family, base, target, "completep")
        for seed in range(2):
            torch.manual_seed(seed)
            apply_(family.build(target), planned, family=family, init_seed=0)


def test_at_base_loaded_weights_stay_without_a_word() -> None:
    model = users_own(BASE.width, BASE.depth)
    train_a_little(model)
    before = copy.deepcopy(model.state_dict())
    apply_(model, plan(users_own, BASE, BASE), family=users_own, init_seed=0)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_at_base_replacing_draws_as_the_factory_does() -> None:
    model = users_own(BASE.width, BASE.depth)
    train_a_little(model)
    apply_(model, plan(users_own, BASE, BASE), family=users_own, init_seed=0, replace=True)
    assert (model[1].norm.weight == 1).all()
    assert float(model[1].up.weight.detach().abs().max()) <= 1.02 * math.sqrt(6 / (3 * BASE.width))


def test_a_padding_row_is_no_sign_of_loading() -> None:
    def build(width: int, depth: int) -> nn.Module:
        return nn.Embedding(4, width, padding_idx=1)

    model = build(64, 1)
    apply_(model, plan(build, Scale(16, 1), Scale(64, 1)), family=build, init_seed=0)
    assert not model.weight[1].any()
