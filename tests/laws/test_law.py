from __future__ import annotations

import copy
import json
from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.forecasting import forecast_law
from windtunnel.laws.law import Law, law_from_json
from windtunnel.laws.reading import table_from_columns


@pytest.fixture(scope="module")
def law() -> Law:
    params = np.tile(np.geomspace(1e8, 1e9, 3), 3)
    tokens = np.repeat(np.geomspace(2e9, 2e10, 3), 3)
    stray = np.exp(0.002 * np.random.default_rng(0).standard_normal(9))
    loss = (1.8172 + 482.01 / params**0.3478 + 2085.43 / tokens**0.3658) * stray
    table = table_from_columns({"params": params, "tokens": tokens, "loss": loss})
    return fit_law(table, draws=5)


@pytest.fixture
def written(law: Law) -> dict:
    return copy.deepcopy(json.loads(json.dumps(law.to_json(), allow_nan=False)))


def test_read_back_it_says_the_same(law: Law, written: dict) -> None:
    again = law_from_json(written)
    target = {"params": 3e9, "tokens": 5e10}
    assert forecast_law(again, target) == forecast_law(law, target)
    np.testing.assert_array_equal(again.draws, law.draws)
    assert again.spread == law.spread
    assert json.loads(json.dumps(again.to_json())) == written
    inputs = {name: np.array([value]) for name, value in target.items()}
    np.testing.assert_array_equal(again(inputs), law(inputs))
    assert again.drawn(inputs).shape == (5, 1)
    assert len(again.published_draws()) == 5


def without(part: str) -> Callable[[dict], object]:
    return lambda held: held["law"].pop(part)


def change(part: str, value: object) -> Callable[[dict], object]:
    return lambda held: held["law"].update({part: value})


@pytest.mark.parametrize(
    "damage",
    [
        lambda held: held.pop("law"),
        lambda held: held.update(law=[]),
        without("form"),
        change("form", "linear"),
        change("form", ["chinchilla"]),
        change("scaling", {"inputs": {"params": "x"}, "metric": 0.0}),
        without("scaling"),
        change("parameters", [1.0]),
        change("parameters", [[1.0, 1, 1, 1]]),
        change("parameters", [float("nan"), 0, 0, 0]),
        change("parameters", "none"),
        change("draws", []),
        change("draws", [[0.0, 0, 0]]),
        change("observed", [float("inf")] * 9),
        change("observed", [2.0]),
        change("inputs", {"params": [1.0]}),
        change("inputs", []),
        change("inputs", {}),
        change("scaling", {"inputs": {}, "metric": 0.0}),
        change("spread", {"noise": 1.0}),
        change("spread", {"noise": None, "drift": 0, "widening": 1, "groups": 1, "reach": 1}),
        change("spread", {"noise": 1, "drift": 0, "widening": 1, "groups": 1, "reach": np.inf}),
        change("objective", "small"),
        change("objective", np.nan),
        lambda held: held["law"].update(observed=[], inputs={"params": [], "tokens": []}),
        lambda held: held["law"]["inputs"].update(tokens=[-1.0] * 9),
        without("held"),
    ],
)
def test_a_damaged_fit_is_refused_in_one_line(written: dict, damage: Callable) -> None:
    damage(written)
    with pytest.raises(WindtunnelError) as refused:
        law_from_json(written)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("value", [None, [], {}, {"kind": "other"}, "law", 3])
def test_something_else_is_no_fit(value: object) -> None:
    with pytest.raises(WindtunnelError, match="this is no fit of `windtunnel laws fit"):
        law_from_json(value)
