from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.compare import compare, compare_groups
from windtunnel.parametrization.comparison import Group, Values
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import ParameterPlan, Plan, plan
from windtunnel.scale import Role, Scale

BASE, TARGET = Scale(32, 2), Scale(128, 4)
FAMILY = GPTFamily(vocabulary_size=64)
MUP = plan(FAMILY, BASE, TARGET, "mup")


def entry(name: str, *shape: int, role: Role = Role.HIDDEN, **factors: float) -> ParameterPlan:
    return ParameterPlan(name, (), role, False, shape, name, shape, **factors)


def by_hand(*entries: ParameterPlan) -> Plan:
    return Plan("mup", "adamw", BASE, TARGET, entries)


SMALL = by_hand(
    entry("in.weight", 8, 4, role=Role.INPUT),
    entry("blocks.0.up", 16, 8, lr=0.25, weight_decay=4.0),
    entry("blocks.1.up", 16, 8, lr=0.25, weight_decay=4.0),
    entry("norm", 8, role=Role.VECTOR),
)
ALL = ("in.weight", "blocks.0.up", "blocks.1.up", "norm")


def groups_like(planned: Plan, lr: float, weight_decay: float, eps: float) -> list[Group]:
    return [
        Group((e.name,), Values(lr * e.lr, weight_decay * e.weight_decay, eps * e.eps))
        for e in planned
    ]


@pytest.mark.parametrize("rule", ["mup", "completep", "sp"])
@pytest.mark.parametrize("decay_vectors", [True, False])
@pytest.mark.parametrize("known", [{}, {"lr": 0.003, "weight_decay": 0.1, "eps": 1e-8}])
def test_the_plans_own_groups_differ_in_nothing(
    rule: str, decay_vectors: bool, known: dict[str, float]
) -> None:
    model, planned = FAMILY.build(TARGET), plan(FAMILY, BASE, TARGET, rule)
    settings = {"lr": 0.003, "weight_decay": 0.1, "eps": 1e-8}
    groups = param_groups(model, planned, **settings, decay_vectors=decay_vectors)
    found = compare_groups(model, planned, torch.optim.AdamW(groups), **known)
    assert found.differences == ()
    assert dataclasses.asdict(found.base) == pytest.approx(settings)
    assert found.parameters == len(planned.parameters)


@pytest.mark.parametrize("eps", [1e-3, None])
def test_of_adafactors_two_epsilons_the_second_is_compared(eps: float | None) -> None:
    model, planned = FAMILY.build(TARGET), plan(FAMILY, BASE, TARGET, "mup", "adafactor")
    groups = param_groups(model, planned, lr=0.01, eps=(None, 1e-3))
    found = compare_groups(model, planned, torch.optim.Adafactor(groups), eps=eps)
    assert found.base == Values(0.01, 0.0, 1e-3) and found.differences == ()
    for group in groups:
        group["eps"] = (None, 1e-3)
    (first, *_) = compare_groups(
        model, planned, torch.optim.Adafactor(groups), lr=0.01, eps=1e-3
    ).differences
    assert set(first.octaves) == {"lr", "weight_decay", "eps"} and first.octaves["eps"] > 0


def test_one_rate_for_all_is_too_high_where_the_plan_lowers_it() -> None:
    """Width times 4 under muP: hidden matrices and the readout want a quarter of the rate."""
    model = FAMILY.build(TARGET)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1, eps=1e-8)
    found = compare_groups(model, MUP, optimizer, lr=0.01, weight_decay=0.1, eps=1e-8)
    off = [d for d in found.differences if d.octaves["lr"]]
    assert {d.octaves["lr"] for d in off} == {2.0}
    assert {d.planned.lr for d in off} == {0.0025}
    assert {d.role for d in off} == {Role.HIDDEN, Role.OUTPUT}
    assert sum(d.count for d in off) == sum(e.role in (Role.HIDDEN, Role.OUTPUT) for e in MUP)
    assert list(found.differences[: len(off)]) == off


def test_importance_is_octaves_times_the_root_of_the_share_of_all_entries() -> None:
    off = [
        Group(ALL[:1], Values(lr=0.01 * 2**5)),  # 32 of 296 entries, 5 octaves
        Group(ALL[1:3], Values(lr=0.0025 * 2**2)),  # 256 of 296 entries, 2 octaves
        Group(ALL[3:], Values(lr=0.01 * 2**-6)),  # 8 of 296 entries, 6 octaves
    ]
    found = compare(SMALL, off, lr=0.01).differences
    assert [d.name for d in found] == ["blocks.*.up", "in.weight", "norm"]
    expected = [2 * math.sqrt(256 / 296), 5 * math.sqrt(32 / 296), 6 * math.sqrt(8 / 296)]
    assert [d.importance for d in found] == pytest.approx(expected)
    assert [d.share for d in found] == pytest.approx([256 / 296, 32 / 296, 8 / 296])


def test_equal_rates_are_ordered_by_decay_and_then_by_epsilon() -> None:
    off = groups_like(SMALL, 0.01, 0.1, 1e-8)
    off[0] = Group(ALL[:1], Values(0.01, 0.1, 1e-6))
    off[1] = Group(ALL[1:2], Values(0.0025, 0.1, 1e-8))
    off[3] = Group(ALL[3:], Values(0.02, 0.1, 1e-8))
    found = compare(SMALL, off, lr=0.01, weight_decay=0.1, eps=1e-8).differences
    assert [d.name for d in found] == ["norm", "blocks.0.up", "in.weight"]


def test_without_a_rate_at_base_it_is_the_one_that_suits_most_entries() -> None:
    found = compare(SMALL, [Group(ALL, Values(0.01, 0.1, 1e-8))])
    assert found.base == Values(lr=0.04, weight_decay=0.025, eps=1e-8)
    assert {d.name: d.octaves["lr"] for d in found.differences} == {"in.weight": -2, "norm": -2}
    assert {d.name: d.octaves["weight_decay"] for d in found.differences} == {
        "in.weight": 2,
        "norm": 2,
    }


def test_blocks_that_are_alike_share_a_row_and_others_do_not() -> None:
    together = compare(SMALL, [Group(ALL, Values(0.01))], lr=0.01).differences
    assert [(d.name, d.count) for d in together] == [("blocks.*.up", 2)]
    apart = [Group((*ALL[:2], ALL[3]), Values(0.01)), Group(ALL[2:3], Values(0.02))]
    rows = compare(SMALL, apart, lr=0.01).differences
    assert [(d.name, d.count) for d in rows] == [("blocks.1.up", 1), ("blocks.0.up", 1)]


def test_leaving_vectors_undecayed_is_no_difference_but_leaving_matrices_is() -> None:
    settings = [Group(ALL[:3], Values(0.01, 0.1)), Group(ALL[3:], Values(0.01, 0.0))]
    flat = by_hand(*(dataclasses.replace(e, lr=1.0, weight_decay=1.0) for e in SMALL))
    assert compare(flat, settings).differences == ()
    settings = [Group(ALL[:2], Values(0.01, 0.1)), Group(ALL[2:], Values(0.01, 0.0))]
    (row,) = compare(flat, settings, weight_decay=0.1).differences
    assert (row.name, row.octaves["weight_decay"]) == ("blocks.1.up", -math.inf)
    assert row.to_json()["weight_decay"] == {"present": 0.0, "planned": 0.1, "octaves": None}


def test_a_rate_of_zero_matters_most() -> None:
    settings = [Group(ALL[:3], Values(0.01)), Group(ALL[3:], Values(0.0))]
    first = compare(SMALL, settings, lr=0.01).differences[0]
    assert (first.name, first.importance) == ("norm", math.inf)
    assert first.to_json()["importance"] is None
    with pytest.raises(WindtunnelError, match="every learning rate is 0"):
        compare(SMALL, [Group(ALL, Values(0.0))])


def test_what_the_optimizer_has_not_is_not_compared() -> None:
    model, planned = FAMILY.build(TARGET), plan(FAMILY, BASE, TARGET, "sp", torch.optim.SGD)
    found = compare_groups(model, planned, torch.optim.SGD(model.parameters(), lr=0.1))
    assert found.differences == ()
    assert found.base.eps is None


def test_rates_are_those_before_a_schedule() -> None:
    model = FAMILY.build(TARGET)
    optimizer = torch.optim.AdamW(param_groups(model, MUP, lr=0.01))
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 100)
    assert optimizer.param_groups[0]["lr"] < 0.001
    found = compare_groups(model, MUP, optimizer, lr=0.01, weight_decay=0.0, eps=1e-8)
    assert found.differences == ()


def test_a_wrapped_model_is_seen_through() -> None:
    model = nn.Sequential()
    model.add_module("_orig_mod", FAMILY.build(TARGET))
    found = compare_groups(model, MUP, torch.optim.AdamW(param_groups(model, MUP, lr=0.01)))
    assert found.differences == ()


@pytest.mark.parametrize("front", ["module.", "_orig_mod.", "module._orig_mod.", ""])
def test_names_in_groups_may_come_from_wrappers(front: str) -> None:
    settings = [Group(tuple(front + name for name in ALL), Values(0.01))]
    assert len(compare(SMALL, settings, lr=0.01).differences) == 1


def test_a_tied_parameter_goes_by_any_of_its_names_but_once() -> None:
    tied = by_hand(dataclasses.replace(SMALL["in.weight"], also=("head.weight",)))
    assert compare(tied, [Group(("head.weight",), Values(0.01))]).parameters == 1
    with pytest.raises(WindtunnelError, match=r"in.weight comes twice \(head.weight is tied"):
        compare(tied, [Group(("in.weight", "head.weight"), Values(0.01))])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((*ALL, "extra"), "groups: extra: no parameter of the plan has this name"),
        (("up", "down", *ALL), "groups: up and 1 more: no parameter"),
        (ALL[:3], "groups: norm: in no group"),
        (ALL[:1], "groups: blocks.0.up and 2 more: in no group"),
        ((*ALL, "norm"), "groups: norm comes twice; list it once"),
    ],
)
def test_names_that_do_not_fit_are_one_clear_line(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(WindtunnelError) as error:
        compare(SMALL, [Group(names, Values(0.01))])
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


def test_an_optimizer_that_lacks_a_parameter_or_has_a_strange_one_is_refused() -> None:
    model = FAMILY.build(TARGET)
    some = [p for name, p in model.named_parameters() if name != "head.weight"]
    with pytest.raises(WindtunnelError, match=r"^optimizer: head.weight: in no group"):
        compare_groups(model, MUP, torch.optim.AdamW(some, lr=0.01))
    model.get_parameter("head.weight").requires_grad_(False)
    assert compare_groups(model, MUP, torch.optim.AdamW(some, lr=0.01)).parameters == len(some)
    more = [*some, nn.Parameter(torch.zeros(3))]
    with pytest.raises(WindtunnelError, match=r"group 0 has a parameter \[3\] that is not"):
        compare_groups(model, MUP, torch.optim.AdamW(more, lr=0.01))


def test_an_optimizer_of_another_geometry_is_refused() -> None:
    model = FAMILY.build(TARGET)
    with pytest.raises(WindtunnelError, match="plan is for adamw and this is SGD"):
        compare_groups(model, MUP, torch.optim.SGD(model.parameters(), lr=0.1))


def test_it_is_plain_json() -> None:
    found = compare(SMALL, [Group(ALL, Values(0.01, 0.1))], lr=0.01).to_json()
    json.dumps(found, allow_nan=False)
    assert found["base_values"] == {"lr": 0.01, "weight_decay": 0.025, "eps": None}
    assert found["compared"] == 4
    row = found["differences"][0]
    assert (row["name"], row["count"], row["role"]) == ("blocks.*.up", 2, "hidden")
    assert row["lr"] == {"present": 0.01, "planned": 0.0025, "octaves": 2.0}


rates = st.sampled_from([0.0025, 0.005, 0.01, 0.02])


@given(st.permutations(ALL), st.tuples(rates, rates, rates, rates))
def test_how_names_are_grouped_does_not_matter(order: list[str], chosen: tuple[float, ...]) -> None:
    of = dict(zip(ALL, chosen, strict=True))
    single = [Group((name,), Values(of[name])) for name in ALL]
    grouped = [
        Group(tuple(name for name in order if of[name] == rate), Values(rate))
        for rate in sorted(set(chosen))
    ]
    assert compare(SMALL, grouped) == compare(SMALL, single)
