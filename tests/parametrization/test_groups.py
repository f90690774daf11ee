from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import clip_gradients_, param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Geometry, Scale

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


@pytest.mark.parametrize(
    ("optimizer", "keys"),
    [
        (torch.optim.AdamW, {"lr", "weight_decay", "eps"}),
        (torch.optim.NAdam, {"lr", "weight_decay", "eps"}),
        (torch.optim.SGD, {"lr", "weight_decay"}),
        (torch.optim.Rprop, {"lr"}),
    ],
)
def test_any_optimizer_gets_just_the_settings_it_has(optimizer, keys: set[str]) -> None:
    target = Scale(64, 2)
    planned = plan(FAMILY, BASE, target, "mup", Geometry.SIGN)
    model = FAMILY.build(target)
    given = {"weight_decay": 0.1, "eps": 1e-8}
    groups = param_groups(
        model, planned, lr=0.01, **{k: v if k in keys else None for k, v in given.items()}
    )
    assert all(set(group) == {"params", *keys} for group in groups)
    made = optimizer(groups)
    rate = {id(p): g["lr"] for g in made.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        assert rate[id(parameter)] == 0.01 * planned[name].lr
    FAMILY.loss(model, batch(0)).backward()
    made.step()


def test_fewer_settings_make_fewer_groups() -> None:
    target = Scale(64, 4)
    planned, model = plan(FAMILY, BASE, target, "completep"), FAMILY.build(target)
    rates = {entry.lr for entry in planned}
    assert len(param_groups(model, planned, lr=1.0, weight_decay=None, eps=None)) == len(rates)


def test_of_adafactors_pair_the_second_follows_the_parameter() -> None:
    model = FAMILY.build(Scale(128, 2))
    relative = plan(FAMILY, BASE, Scale(128, 2), "mup", "adafactor")
    groups = param_groups(model, relative, lr=0.1, weight_decay=None, eps=(None, 1e-3))
    assert {group["eps"] for group in groups} == {(None, 1e-3), (None, 5e-4), (None, 2.5e-4)}
    torch.optim.Adafactor(groups)
    with pytest.raises(WindtunnelError, match=r"eps is a pair.*sign updates; give one number"):
        param_groups(model, plan(FAMILY, BASE, Scale(128, 2)), lr=0.1, eps=(None, 1e-3))


def test_methods_are_kept_apart_and_named_where_there_are_several() -> None:
    planned, model = plan(FAMILY, BASE, BASE), FAMILY.build(BASE)
    assert all("method" not in group for group in param_groups(model, planned, lr=1.0))
    mixed = plan(FAMILY, BASE, BASE, optimizer="muon")
    groups = {group["method"]: group["params"] for group in param_groups(model, mixed, lr=1.0)}
    assert set(groups) == {"muon", "adamw"}
    hidden = {id(dict(model.named_parameters())[e.name]) for e in planned if e.role == "hidden"}
    assert {id(p) for p in groups["muon"]} == hidden


def stage(model: nn.Module, *kept: str) -> nn.Module:
    """A pipeline stage: what is not kept is gone, and names stay."""
    for name, _ in list(model.named_children()):
        if name not in kept:
            setattr(model, name, None)
    return model


def test_a_pipeline_stage_has_its_own_part_of_the_groups() -> None:
    target = Scale(64, 4)
    planned = plan(FAMILY, BASE, target, "completep")
    stages = [
        stage(FAMILY.build(target), "embedding"),
        stage(FAMILY.build(target), "blocks"),
        stage(FAMILY.build(target), "final_norm", "head"),
    ]
    seen = 0
    for part in stages:
        with pytest.raises(WindtunnelError, match=r"the model does not.*part=True"):
            param_groups(part, planned, lr=1.0)
        groups = param_groups(part, planned, lr=1.0, part=True)
        rate = {id(p): g["lr"] for g in groups for p in g["params"]}
        for name, parameter in part.named_parameters():
            assert rate[id(parameter)] == planned[name].lr
        seen += len(rate)
    assert seen == len(planned.parameters)


def test_a_part_of_a_tied_model_may_hold_one_end_but_not_both_apart() -> None:
    tied = GPTFamily(vocabulary_size=64, tied=True)
    planned = plan(tied, BASE, Scale(64, 2), "mup")

    def untied() -> nn.Module:
        return FAMILY.build(Scale(64, 2))

    for kept in (("embedding", "blocks"), ("final_norm", "head")):
        param_groups(stage(untied(), *kept), planned, lr=1.0, part=True)
    param_groups(stage(tied.build(Scale(64, 2)), "embedding", "head"), planned, lr=1.0, part=True)
    apart = stage(untied(), "embedding", "head")
    with pytest.raises(WindtunnelError, match=r"embedding.weight: tied with head.weight in the pl"):
        param_groups(apart, planned, lr=1.0, part=True)
    other = plan(FAMILY, BASE, Scale(64, 2), "mup")
    with pytest.raises(WindtunnelError, match=r"tied with head.weight in the model alone"):
        param_groups(tied.build(Scale(64, 2)), other, lr=1.0, part=True)


def test_a_part_is_still_held_to_names_and_shapes() -> None:
    planned = plan(FAMILY, BASE, Scale(64, 2))
    with pytest.raises(WindtunnelError, match=r"\[64, 96\] in the model, \[64, 64\] in the plan"):
        param_groups(stage(FAMILY.build(Scale(96, 2)), "embedding"), planned, lr=1.0, part=True)
    with pytest.raises(WindtunnelError, match=r"blocks.2.*the plan does not"):
        param_groups(stage(FAMILY.build(Scale(64, 3)), "blocks"), planned, lr=1.0, part=True)


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
