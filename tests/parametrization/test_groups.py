from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import clip_gradients_, param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale

BASE = Scale(32, 2)
FAMILY = GPTFamily(vocabulary_size=64)


def batch(step: int):
    tokens = torch.randint(64, (2, 17), generator=torch.Generator().manual_seed(step))
    return tokens[:, :-1], tokens[:, 1:]


def losses(model: nn.Module, optimizer: torch.optim.Optimizer, clip) -> list[float]:
    found = []
    for step in range(50):
        optimizer.zero_grad()
        loss = FAMILY.loss(model, batch(step))
        loss.backward()
        clip(model)
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("rule", ["sp", "mup", "completep"])
def test_at_base_fifty_steps_are_bit_identical_to_the_untouched_loop(rule: str) -> None:
    torch.manual_seed(0)
    untouched = FAMILY.build(BASE)
    ours = copy.deepcopy(untouched)
    settings = {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-8}
    expected = losses(
        untouched,
        torch.optim.AdamW(untouched.parameters(), **settings, fused=True),
        lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.5),
    )
    planned = plan(FAMILY, BASE, BASE, rule)
    apply_(ours, planned, family=FAMILY, init_seed=3)
    groups = param_groups(ours, planned, **settings)
    assert len(groups) == 1
    assert {key: groups[0][key] for key in settings} == settings
    found = losses(
        ours, torch.optim.AdamW(groups, fused=True), lambda m: clip_gradients_(m, planned, 0.5)
    )
    assert found == expected


def test_as_few_groups_as_distinct_settings() -> None:
    model = FAMILY.build(Scale(128, 8))
    planned = plan(FAMILY, BASE, Scale(128, 8), "completep")
    groups = param_groups(model, planned, lr=0.01, weight_decay=0.1)
    settings = {(g["lr"], g["weight_decay"], g["eps"]) for g in groups}
    assert len(groups) == len(settings) == 5
    grouped = [id(p) for g in groups for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_vectors_are_spared_decay_on_request() -> None:
    model = FAMILY.build(BASE)
    planned = plan(FAMILY, BASE, BASE, "mup")
    groups = param_groups(model, planned, lr=0.01, weight_decay=0.1, decay_vectors=False)
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert {p.ndim: decay[id(p)] for p in model.parameters()} == {1: 0.0, 2: 0.1}


def test_the_plan_reaches_the_optimizer_through_wrappers() -> None:
    model = nn.ModuleDict({"module": FAMILY.build(Scale(64, 2))})
    planned = plan(FAMILY, BASE, Scale(64, 2), "mup")
    groups = param_groups(model, planned, lr=0.01)
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    assert rate[id(model["module"].embedding.weight)] == 0.01
    assert rate[id(model["module"].blocks[1].mlp.up.weight)] == 0.005


@pytest.mark.parametrize("max_norm", [1e-3, 1e6, 0.0])
def test_clipping_measures_in_the_rules_gauge_and_scales_all_alike(max_norm: float) -> None:
    target = Scale(64, 4)
    planned = plan(FAMILY, BASE, target, "completep")
    model = FAMILY.build(target)
    FAMILY.loss(model, batch(0)).backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters()}
    expected = sum(float((planned[n].gauge * g).double().square().sum()) for n, g in before.items())
    norm = float(clip_gradients_(model, planned, max_norm))
    assert norm == pytest.approx(expected**0.5, rel=1e-5)
    factor = min(1.0, max_norm / norm) if max_norm else 1.0
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, before[name] * factor, rtol=1e-3, atol=0.0)


def test_clipping_without_gradients_measures_zero() -> None:
    assert float(clip_gradients_(FAMILY.build(BASE), plan(FAMILY, BASE, BASE), 1.0)) == 0.0
