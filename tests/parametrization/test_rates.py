from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedulers

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.rates import guard_rates
from windtunnel.scale import Scale

STEPS = 40


def build(width: int, depth: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.Linear(width, width), nn.Linear(width, 2))


def guarded(optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW, **settings):
    model = build(24, 1)  # a third, so that rates are rounded
    groups = param_groups(model, plan(build, Scale(8, 1), Scale(24, 1)), lr=0.1, **settings)
    assert len({group["lr"] for group in groups}) > 1
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    made = optimizer(groups)
    guard_rates(made)
    return made


def steps_taken(optimizer, scheduler, metric: bool = False) -> int:
    for step in range(STEPS):
        try:
            optimizer.step()
        except WindtunnelError:
            return step
        scheduler.step(1.0) if metric else scheduler.step()
    return STEPS


@pytest.mark.parametrize(
    "make",
    [
        lambda o: schedulers.LambdaLR(o, lambda step: min(1.0, step / 10) * (1 - step / STEPS)),
        lambda o: schedulers.StepLR(o, 7, 0.3),
        lambda o: schedulers.ExponentialLR(o, 0.7),
        lambda o: schedulers.CosineAnnealingLR(o, STEPS),
        lambda o: schedulers.CosineAnnealingWarmRestarts(o, 9),
        lambda o: schedulers.LinearLR(o, 1e-3, 1.0, 10),
        lambda o: schedulers.PolynomialLR(o, STEPS - 5, 2.0),
        lambda o: schedulers.OneCycleLR(o, [g["lr"] for g in o.param_groups], STEPS + 1),
        lambda o: schedulers.SequentialLR(
            o,
            [schedulers.LinearLR(o, 0.1, 1.0, 5), schedulers.CosineAnnealingLR(o, STEPS)],
            milestones=[5],
        ),
    ],
)
def test_schedulers_that_multiply_pass(make) -> None:
    optimizer = guarded()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert steps_taken(optimizer, make(optimizer)) == STEPS


@pytest.mark.parametrize(
    ("make", "first"),
    [
        (lambda o: schedulers.OneCycleLR(o, 0.1, STEPS + 1), 0),
        (lambda o: schedulers.CyclicLR(o, 0.01, 0.1, 10, cycle_momentum=False), 0),
        (lambda o: schedulers.CosineAnnealingLR(o, STEPS, eta_min=1e-5), 1),
        (lambda o: schedulers.CosineAnnealingWarmRestarts(o, STEPS, eta_min=1e-5), 1),
        (lambda o: torch.optim.swa_utils.SWALR(o, 0.05, anneal_epochs=3), 1),
    ],
)
def test_schedulers_that_set_or_bound_rates_are_refused_at_once(make, first: int) -> None:
    optimizer = guarded()
    assert steps_taken(optimizer, make(optimizer)) == first


def test_a_floor_is_seen_in_the_first_steps_of_a_long_run() -> None:
    optimizer = guarded()
    scheduler = schedulers.CosineAnnealingLR(optimizer, 100_000, eta_min=1e-3)
    assert steps_taken(optimizer, scheduler) < STEPS


def test_a_floor_under_a_plateau_is_refused_when_a_rate_meets_it() -> None:
    optimizer = guarded()
    made = schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, min_lr=0.01)
    assert 0 < steps_taken(optimizer, made, metric=True) < STEPS
    optimizer = guarded()
    made = schedulers.ReduceLROnPlateau(optimizer, factor=0.9, patience=0)
    assert steps_taken(optimizer, made, metric=True) == STEPS


def test_rounding_over_a_million_steps_is_no_alarm() -> None:
    """CosineAnnealingLR multiplies the last rate: its rounding adds up."""
    optimizer = guarded(torch.optim.SGD, weight_decay=None, eps=None)
    scheduler = schedulers.CosineAnnealingLR(optimizer, 20_000)
    for _ in range(19_990):
        optimizer._opt_called = True
        scheduler.step()
    optimizer.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    planned = [group["initial_lr"] for group in optimizer.param_groups]
    first = [rate / plan for rate, plan in zip(rates, planned, strict=True)]
    assert max(first) == pytest.approx(min(first), rel=1e-10)


def test_a_loop_that_sets_rates_is_refused_before_parameters_change() -> None:
    optimizer = guarded()
    for group in optimizer.param_groups:
        group["lr"] = 0.05
    before = [p.clone() for group in optimizer.param_groups for p in group["params"]]
    with pytest.raises(WindtunnelError, match=r"group 1 is at 0.05.*LambdaLR"):
        optimizer.step()
    after = [p for group in optimizer.param_groups for p in group["params"]]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_rates_of_zero_are_multiplied_too() -> None:
    optimizer = guarded()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()


def test_a_rate_that_the_plan_has_at_zero_stays_there() -> None:
    weights = [nn.Parameter(torch.zeros(2)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.0}, {"params": weights[1:]}], 0.1)
    guard_rates(optimizer)
    optimizer.param_groups[1]["lr"] = 0.01
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.01
    with pytest.raises(WindtunnelError, match="group 0"):
        optimizer.step()


def test_rates_held_as_tensors_are_watched() -> None:
    optimizer = guarded()
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"] * 0.3)
    optimizer.step()
    for group in optimizer.param_groups:
        group["lr"].fill_(0.05)
    with pytest.raises(WindtunnelError, match="absolute"):
        optimizer.step()


def test_one_group_may_be_scheduled_as_one_likes() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    guard_rates(optimizer)
    assert steps_taken(optimizer, schedulers.OneCycleLR(optimizer, 0.3, STEPS + 1)) == STEPS


def test_the_guard_comes_before_the_scheduler() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    schedulers.StepLR(optimizer, 3)
    with pytest.raises(WindtunnelError, match="before the scheduler is made"):
        guard_rates(optimizer)


def test_groups_added_later_need_a_new_guard() -> None:
    optimizer = guarded()
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    with pytest.raises(WindtunnelError, match="after the last add_param_group"):
        optimizer.step()


def test_a_removed_guard_watches_no_more() -> None:
    weights = [nn.Parameter(torch.zeros(2)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [w], "lr": 0.1 + i} for i, w in enumerate(weights)])
    guard_rates(optimizer).remove()
    optimizer.param_groups[0]["lr"] = 7.0
    optimizer.step()


def test_a_resumed_optimizer_passes() -> None:
    optimizer = guarded()
    scheduler = schedulers.CosineAnnealingLR(optimizer, STEPS)
    optimizer.step()
    scheduler.step()
    resumed = guarded()
    resumed.load_state_dict(optimizer.state_dict())
    resumed.step()
