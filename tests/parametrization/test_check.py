from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.function import FunctionFamily
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.check import CoordinateCheck, check, check_plans
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.verdict import THRESHOLD
from windtunnel.scale import Scale

BASE = Scale(32, 2)


def batch(seed: int):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(32, (4, 25), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def checked(family=None, rule: str = "mup", **options) -> CoordinateCheck:
    family = family or GPTFamily(vocabulary_size=32)
    settings = {"base": BASE, "widths": (32, 64, 128), "batch": batch, "lr": 0.01, "seeds": (0, 1)}
    return check(family, rule=rule, **{**settings, **options})


def test_mup_passes_and_sp_fails_in_width() -> None:
    mup, sp = checked(rule="mup"), checked(rule="sp")
    assert (mup.verdict, mup.axis) == ("pass", "width")
    assert (sp.verdict, sp.axis) == ("fail", "width")
    assert mup.max_abs_slope < THRESHOLD < sp.max_abs_slope
    assert "width^" in sp.reason


def test_adafactor_passes_with_a_readout_and_queries_that_start_at_zero() -> None:
    """They move by the least size that it takes them to have, so that has to follow the width."""
    settings = {"optimizer": "adafactor", "lr": 0.03}
    assert checked(**settings).verdict == "pass"
    planned = [
        plan(GPTFamily(vocabulary_size=32), BASE, BASE.replace(width=width), "mup", "adafactor")
        for width in (32, 64, 128)
    ]
    fixed = [
        dataclasses.replace(p, parameters=tuple(dataclasses.replace(e, eps=1.0) for e in p))
        for p in planned
    ]
    family = GPTFamily(vocabulary_size=32)
    found = check_plans(family, {"width": fixed}, batch=batch, lr=0.03, seeds=(0, 1))
    assert found.verdict == "fail" and "head" in found.modules


def test_a_tied_head_passes_under_mup() -> None:
    tied = GPTFamily(vocabulary_size=32, tied=True)
    assert checked(tied, lr=0.003, seeds=(0, 1, 2)).verdict == "pass"


def test_completep_passes_and_mup_fails_in_depth() -> None:
    depths = {"widths": (), "depths": (4, 8, 16)}
    assert checked(rule="completep", **depths).verdict == "pass"
    mup = checked(rule="mup", **depths)
    assert (mup.verdict, mup.axis) == ("fail", "depth")
    assert mup.reason.startswith("blocks.*")


def test_readouts_may_shrink_at_first_but_hidden_layers_may_not() -> None:
    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.inner, self.hidden = nn.Linear(8, width), nn.Linear(width, width)
            self.head = nn.Linear(width, 4)

        def forward(self, x):
            return self.head(self.hidden(self.inner(x).relu()).relu())

    def step(model: nn.Module, inputs):
        return nn.functional.cross_entropy(model(inputs), inputs[:, :4].argmax(dim=1))

    def inputs(seed: int):
        return torch.randn(64, 8, generator=torch.Generator().manual_seed(seed))

    family = FunctionFamily(lambda width, depth: Net(width), step)
    found = checked(family, batch=inputs, lr=0.003)
    assert found.verdict == "pass"
    (head,) = (s for s in found.slopes if s.module == "head" and s.step == 0)
    assert head.slope == pytest.approx(-0.5, abs=0.2)  # by design: multiplier 1/m, sum of m terms


def test_own_updates_tell_the_layers_that_change_from_those_that_inherit() -> None:
    found = checked(rule="mup", widths=(32, 64), steps=2)
    own = {slope.module: slope for slope in found.slopes if slope.quantity == "own update"}
    assert {slope.step for slope in own.values()} == {2}
    assert {"embedding", "blocks.1.mlp.down", "final_norm", "head"} <= set(own)
    assert not {"output", "blocks.0"} & set(own)  # they have no weights of their own


def test_plans_of_ones_own_are_checked() -> None:
    family = GPTFamily(vocabulary_size=32)
    plans = [plan(family, BASE, BASE.replace(width=width)) for width in (32, 64)]
    options = {"batch": batch, "lr": 0.01, "seeds": (0,), "steps": 1}
    by_hand = check_plans(family, {"width": plans}, **options)
    assert by_hand == check(family, base=BASE, widths=(64, 32), **options)


def test_noise_that_a_model_draws_is_no_update() -> None:
    class Noisy(nn.Linear):
        def forward(self, x):
            return nn.functional.dropout(super().forward(x), 0.5)

    family = FunctionFamily(lambda width, depth: Noisy(width, width), lambda model, b: zeros(model))

    def zeros(model: nn.Module):
        return 0.0 * model(torch.ones(2, model.in_features)).square().sum()

    found = checked(family, widths=(32, 64), steps=2, lr=0.0)
    assert {slope.quantity for slope in found.slopes} == {"activation"}


def test_it_repeats_and_is_plain_json() -> None:
    options = {"widths": (32, 64), "seeds": (0, 1), "steps": 2}
    first, again = checked(**options), checked(**options)
    assert first == again
    value = json.loads(json.dumps(first.to_json(), allow_nan=False))
    assert set(value) >= {"verdict", "axis", "max_abs_slope", "reason", "modules", "slopes"}
    assert set(value["slopes"][0]) == {"module", "quantity", "axis", "step", "slope", "ci90"}
    modules = {curve["module"] for curve in value["curves"]}
    assert modules >= {"output", "embedding", "blocks.0", "blocks.1.mlp.down", "head"}


def test_two_widths_cannot_say() -> None:
    found = checked(widths=(32, 64), steps=2)
    assert found.verdict == "cannot say"
    assert "three or more" in found.reason
    one = checked(widths=(32,), seeds=(0,), steps=1)
    assert (one.verdict, one.slopes) == ("cannot say", ())


def test_no_sizes_is_an_error() -> None:
    with pytest.raises(WindtunnelError, match="no sizes"):
        checked(widths=())


def test_divergence_fails_with_its_size() -> None:
    class Net(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (math.inf if self.in_features == 64 else 1.0)

    family = FunctionFamily(lambda width, depth: Net(width, 4), lambda model, b: zeros(model))

    def zeros(model: nn.Module):
        return model(torch.ones(2, model.in_features)).square().sum()

    found = checked(family, steps=1)
    assert found.verdict == "fail"
    assert "not finite at width 64" in found.reason
    json.dumps(found.to_json(), allow_nan=False)


def test_progress_and_the_random_state() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    seen = []
    checked(widths=(32, 64), steps=1, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.equal(torch.rand(2), expected)


def test_a_loss_that_is_not_finite_at_one_width_fails() -> None:
    def step(model: nn.Module, batch: Tensor) -> Tensor:
        loss = model(batch).square().mean()
        return loss * math.nan if model[0].out_features == 64 else loss

    family = FunctionFamily(
        lambda width, depth: nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2)),
        step,
    )
    found = check(
        family,
        base=Scale(16, 1),
        widths=(16, 32, 64),
        batch=lambda seed: torch.randn(8, 4, generator=torch.Generator().manual_seed(seed)),
        lr=0.01,
    )
    assert found.verdict == "fail" and "not finite" in found.reason
