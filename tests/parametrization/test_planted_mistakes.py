"""It must be able to fail: each kind of mistake in an otherwise right plan, found and named."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from windtunnel.parametrization.check import check_plans

MISTAKES = runpy.run_path(str(Path(__file__).with_name("mistakes.py")))["MISTAKES"]

# One of each kind; benchmarks/coordinate_check.py plants all of them, over ten sets of seeds.
KINDS = (
    "no rate: blocks.0.attention.query",
    "no rate: blocks.0.mlp.up",
    "no rate: blocks.1.mlp.down",
    "no multiplier: head",
    "rate twice: every layer",
    "wrong init: value",
    "tied head: table scaled",
    "tied head: gain not scaled",
    "branch exponent 1/2, not 1",
    "no rate in depth: down",
)

SIZES = {"width": (32, 64, 128), "depth": (2, 4, 8)}


def batch(seed: int):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(32, (4, 25), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_mistake_fails_and_names_its_module(kind: str) -> None:
    (mistake,) = (planted for planted in MISTAKES if planted.name == kind)
    family = mistake.family(vocabulary_size=32)
    plans = mistake.plans(family, SIZES[mistake.axis])
    found = check_plans(family, plans, batch=batch, lr=0.003, seeds=(0, 1))
    assert found.verdict == "fail"
    assert found.modules[0] == mistake.module
    assert found.reason.startswith(f"{mistake.module}'s ")
