from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations
from windtunnel.models.function import FunctionFamily
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization import check as module
from windtunnel.parametrization.check import THRESHOLD, CoordinateCheck, check
from windtunnel.parametrization.plan import Plan
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


def test_a_tied_head_passes_under_mup() -> None:
    assert checked(GPTFamily(vocabulary_size=32, tied=True)).verdict == "pass"


def test_completep_passes_and_mup_fails_in_depth() -> None:
    depths = {"widths": (), "depths": (4, 8, 16)}
    assert checked(rule="completep", **depths).verdict == "pass"
    mup = checked(rule="mup", **depths)
    assert (mup.verdict, mup.axis) == ("fail", "depth")
    assert mup.reason.startswith("blocks.*")


@pytest.mark.parametrize(
    ("parameter", "planted", "named"),
    [
        ("blocks.0.attention.key.weight", {"lr": 1.0}, "blocks.0.attention.key"),
        ("blocks.0.attention.value.weight", {"lr": 1.0}, "blocks.0.attention.value"),
        ("head.weight", {"lr": 1.0}, "head"),
        ("blocks.0.mlp.up.weight", {"lr": 1.0, "init": 1.0}, "blocks.0.mlp.up"),
    ],
)
def test_a_planted_mistake_fails_and_is_named(monkeypatch, parameter, planted, named) -> None:
    right = module.plan

    def wrong(*arguments) -> Plan:
        made = right(*arguments)
        parameters = tuple(
            dataclasses.replace(p, **planted) if p.name == parameter else p for p in made
        )
        return dataclasses.replace(made, parameters=parameters)

    monkeypatch.setattr(module, "plan", wrong)
    found = checked(lr=0.003)
    assert found.verdict == "fail"
    failed = {s.module for s in found.slopes if s.step > 0 and s.ci90[0] > THRESHOLD}
    assert named in failed


def test_double_scaling_fails_because_updates_vanish(monkeypatch) -> None:
    right = module.plan

    def twice(*arguments) -> Plan:
        made = right(*arguments)
        parameters = tuple(dataclasses.replace(p, lr=p.lr**2) for p in made)
        return dataclasses.replace(made, parameters=parameters)

    monkeypatch.setattr(module, "plan", twice)
    found = checked(lr=0.003)
    assert found.verdict == "fail"
    assert "update at step 5 scales as width^-" in found.reason


def test_a_wrong_branch_exponent_fails_in_depth(monkeypatch) -> None:
    family = GPTFamily(vocabulary_size=32)
    forgotten = Declarations(branch_outputs=("blocks.*.attention.output",), blocks="blocks.*")
    monkeypatch.setattr(GPTFamily, "declarations", forgotten)
    found = checked(family, rule="completep", widths=(), depths=(4, 8, 16))
    assert (found.verdict, found.axis) == ("fail", "depth")


def test_it_repeats_and_is_plain_json() -> None:
    options = {"widths": (32, 64), "seeds": (0, 1), "steps": 2}
    first, again = checked(**options), checked(**options)
    assert first == again
    value = json.loads(json.dumps(first.to_json(), allow_nan=False))
    assert set(value) >= {"verdict", "axis", "max_abs_slope", "reason", "slopes", "curves"}
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
