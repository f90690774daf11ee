from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import windtunnel as wt
from windtunnel.parametrization.plan import Plan

SYMBOLS, LENGTH = 16, 8


def build(width: int, depth: int) -> nn.Module:
    """Learns which symbol follows which."""
    hidden = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(depth)]
    return nn.Sequential(nn.Embedding(SYMBOLS, width), *hidden, nn.Linear(width, SYMBOLS))


FAMILY = wt.FunctionFamily(build)
RECIPE = wt.Recipe(lr=0.02, batch_units=32, clip_norm=0.5, warmup_fraction=0.2, decay_fraction=0.5)


def planned(width: int) -> tuple[nn.Module, Plan]:
    plan = wt.plan(FAMILY, wt.Scale(8, 1), wt.Scale(width, 1), "mup", "adamw")
    torch.manual_seed(0)
    model = build(width, 1)
    wt.apply_(model, plan, family=FAMILY, init_seed=0)
    return model, plan


def symbols(count: int) -> torch.Tensor:
    return torch.randint(SYMBOLS, (count, LENGTH), generator=torch.Generator().manual_seed(1))


def follows(inputs: torch.Tensor) -> torch.Tensor:
    return (inputs * 5 + 1) % SYMBOLS


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "forecast.json").write_text(json.dumps({"loss": 2.0, "ci90": [0.0, 9.0]}))
    return folder
