"""Our schedules as LambdaLR: rates a group, and a resume from the step that is bit for bit."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

import windtunnel as wt
from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.lambda_lr import lambda_lr
from windtunnel.scale import Recipe
from windtunnel.schedules import SCHEDULES, recipe_multiplier, schedule_multiplier

STEPS = 20
RATES = (0.1, 0.003)


def made() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    groups = [
        {"params": layer.parameters(), "lr": rate}
        for layer, rate in zip((model[0], model[2]), RATES, strict=True)
    ]
    return model, torch.optim.AdamW(groups)


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: LambdaLR, start: int, end: int
) -> list[list[float]]:
    rates = []
    for step in range(start, end):
        draw = torch.Generator().manual_seed(step)
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        loss = model(torch.randn(8, 3, generator=draw)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
    return rates


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("wsd", {}),
        ("wsd", {"shape": "1-sqrt"}),
        ("cosine", {"final": 0.1}),
        ("linear", {}),
        ("constant", {}),
        ("inverse-sqrt", {"flat_steps": 3}),
        ("power", {"lr": 0.02, "batch_units": 2**20}),
        ("uba", {"phi": 1}),
        ("recorded", {"multipliers": (0.5, 1, 0.2)}),
    ],
)
def test_every_group_gets_its_own_rate_times_the_schedule(
    name: str, settings: dict[str, Any]
) -> None:
    model, optimizer = made()
    scheduler = lambda_lr(optimizer, name, STEPS, settings=settings)
    assert isinstance(scheduler, LambdaLR)
    found = train(model, optimizer, scheduler, 0, STEPS)
    for step in range(STEPS):
        multiplier = schedule_multiplier(
            name, step, STEPS, warmup_fraction=0.1, decay_fraction=0.3, settings=settings
        )
        assert found[step] == [rate * multiplier for rate in RATES]
        assert multiplier > 0


@pytest.mark.parametrize("order", ["optimizer first", "scheduler first", "done", "step only"])
@pytest.mark.parametrize("stop", [0, 1, 9, STEPS - 1])
def test_a_run_stopped_anywhere_goes_on_bit_for_bit(stop: int, order: str) -> None:
    whole, optimizer = made()
    expected = train(whole, optimizer, lambda_lr(optimizer, "wsd", STEPS), 0, STEPS)

    first, optimizer = made()
    scheduler = lambda_lr(optimizer, "wsd", STEPS)
    before = train(first, optimizer, scheduler, 0, stop)
    kept = first.state_dict(), optimizer.state_dict(), json.dumps(scheduler.state_dict())

    again, optimizer = made()
    again.load_state_dict(kept[0])
    state = json.loads(kept[2])
    if order == "scheduler first":
        scheduler = lambda_lr(optimizer, "wsd", STEPS)
        scheduler.load_state_dict(state)
        optimizer.load_state_dict(kept[1])
    elif order == "optimizer first":
        optimizer.load_state_dict(kept[1])
        scheduler = lambda_lr(optimizer, "wsd", STEPS)
        scheduler.load_state_dict(state)
    elif order == "done":
        optimizer.load_state_dict(kept[1])
        scheduler = lambda_lr(optimizer, "wsd", STEPS, done=stop)
    else:  # rates that someone changed meanwhile are set from the step
        optimizer.load_state_dict(kept[1])
        scheduler = lambda_lr(optimizer, "wsd", STEPS, done=3)
        scheduler.load_state_dict({"last_epoch": stop})
    assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
    assert before + train(again, optimizer, scheduler, stop, STEPS) == expected
    assert equal(weights(again), weights(whole))


def test_every_schedule_was_exported_above() -> None:
    (mark,) = test_every_group_gets_its_own_rate_times_the_schedule.pytestmark
    assert {name for name, _ in mark.args[1]} == set(SCHEDULES)


def test_the_state_is_the_step() -> None:
    model, optimizer = made()
    scheduler = lambda_lr(optimizer, "linear", STEPS)
    train(model, optimizer, scheduler, 0, 7)
    assert scheduler.state_dict() == {"last_epoch": 7}


def test_a_recipe_s_schedule_and_a_function() -> None:
    recipe = Recipe(lr=1.0, batch_units=64, schedule="power", schedule_settings=(("final", 0.5),))
    model, optimizer = made()
    scheduler = lambda_lr(optimizer, functools.partial(recipe_multiplier, recipe), STEPS)
    found = train(model, optimizer, scheduler, 0, STEPS)
    assert [rates[1] for rates in found] == [
        RATES[1] * recipe_multiplier(recipe, step, STEPS) for step in range(STEPS)
    ]


def test_rates_that_are_tensors_stay_the_same_tensors() -> None:
    model, _ = made()
    rate = torch.tensor(0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, foreach=False)
    scheduler = lambda_lr(optimizer, "linear", STEPS, done=5)
    held = optimizer.param_groups[0]["lr"]
    assert float(held) == pytest.approx(0.1 * (1 - 3 / 18))
    scheduler.load_state_dict({"last_epoch": 11})
    assert optimizer.param_groups[0]["lr"] is held
    assert float(held) == pytest.approx(0.1 * 0.5)


def test_the_guard_has_nothing_against_it() -> None:
    model, optimizer = made()
    wt.guard_rates(optimizer)
    train(model, optimizer, wt.lambda_lr(optimizer, "cosine", STEPS), 0, STEPS)


def test_after_the_last_step_the_rates_stay_and_further_there_is_none() -> None:
    model, optimizer = made()
    scheduler = lambda_lr(optimizer, "linear", STEPS)
    last = train(model, optimizer, scheduler, 0, STEPS)[-1]
    assert scheduler.get_last_lr() == last
    with pytest.raises(WindtunnelError, match="step 21 is outside a run of 20 steps"):
        scheduler.step()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"schedule": "stairs"}, "no 'stairs'; choose from"),
        ({"done": 21}, "step 21 is outside a run of 20 steps"),
        ({"done": -1}, "step -1 is outside"),
        ({"steps": 0}, "step 0 is outside a run of 0 steps"),
        ({"settings": {"phi": 1}}, "'wsd' has no such setting"),
        ({"schedule": lambda step, steps: 1.0, "settings": {"phi": 1}}, "a function has none"),
    ],
)
def test_refuses_in_words_and_touches_nothing(arguments: dict[str, Any], says: str) -> None:
    _, optimizer = made()
    with pytest.raises(WindtunnelError, match=says):
        lambda_lr(optimizer, **{"schedule": "wsd", "steps": STEPS, **arguments})
    assert [group["lr"] for group in optimizer.param_groups] == list(RATES)
    assert all("initial_lr" not in group for group in optimizer.param_groups)
