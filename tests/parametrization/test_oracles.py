"""Equal to `mup` 1.0.0 and `unit-scaling` 0.3.5 where these are installed; see benchmarks."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from windtunnel.scale import Scale

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ALPHAS = {
    "alpha_ffn_act": 2.0,
    "alpha_attn_softmax": 3.0,
    "alpha_res": 0.5,
    "alpha_res_attn_ratio": 2.0,
    "alpha_loss_softmax": 1.5,
}


@pytest.fixture(autouse=True)
def from_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    return importlib.import_module(name)


def mup() -> ModuleType:
    found: ModuleType = pytest.importorskip("mup")
    return found


def unit_scaling() -> ModuleType:
    found: ModuleType = pytest.importorskip("unit_scaling")
    return found


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("kind", ["MLP", "Transformer"])
def test_losses_equal_those_of_mup(kind: str, optimizer: str) -> None:
    compare, model = module("oracle_equality").against_mup, getattr(module("oracle_models"), kind)
    found = compare(mup(), model, optimizer)
    assert found["difference"] <= 1e-12
    assert found["last"] < found["first"]
    assert compare(mup(), model, optimizer, torch.float32)["difference"] <= 1e-5
    assert compare(mup(), model, optimizer, rule="sp")["difference"] > 1e-4


@pytest.mark.parametrize(
    ("base", "target", "options"),
    [
        (Scale(32, 2), Scale(64, 2), {}),
        (Scale(32, 2), Scale(64, 2), ALPHAS),
        (Scale(16, 1), Scale(32, 4), {}),
    ],
    ids=["width", "alphas", "width and depth"],
)
def test_outputs_gradients_and_losses_equal_those_of_unit_scaling(
    base: Scale, target: Scale, options: dict[str, float]
) -> None:
    """To single precision, in which the package takes norms."""
    compare, package = module("oracle_equality").against_unit_scaling, unit_scaling()
    found = compare(package, base, target, **options)
    assert found["outputs"] <= 1e-6
    assert found["gradients"] <= 1e-6
    assert found["difference"] <= 1e-5
    assert found["last"] < 0.5 * found["first"]
    assert compare(package, base, target, rule="sp", **options)["difference"] > 1e-3


def test_a_planned_model_goes_through_everything_in_the_table() -> None:
    table = module("oracle_table")
    for name, (here, *others) in table.rows(None, None).items():
        assert table.outcome(here) == "works", name
        assert all(table.outcome(cell).startswith(("not installed", "n/a: ")) for cell in others), (
            name
        )
    assert int(table.groups_of_eight_blocks(None, None)[0]) <= 6


def test_what_fails_in_the_table_is_told_by_the_first_line_of_its_error() -> None:
    def broken() -> None:
        raise ValueError("the first line\nand another")

    assert module("oracle_table").outcome(broken) == "fails: the first line"


def test_mup_fails_where_the_table_says_so() -> None:
    """Otherwise the rows would show nothing."""
    table, sides = module("oracle_table"), module("oracle_sides")
    side = sides.Mup(mup())
    sides.train(side, side.build())
    for cells in table.rows(side, None).values():
        assert table.outcome(cells[1]).startswith("fails: ")
