from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.outlook import outlook
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.forecasting import forecast_law
from windtunnel.laws.law import Law
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.words import outlook_words

TARGET = {"params": 2e9, "tokens": 1e11}


@pytest.fixture(scope="module")
def law() -> Law:
    params = np.tile(np.geomspace(1e8, 1e9, 4), 3)
    tokens = np.repeat(np.geomspace(2e9, 2e10, 3), 4)
    stray = np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    loss = (1.8172 + 482.01 / params**0.3478 + 2085.43 / tokens**0.3658) * stray
    table = table_from_columns({"params": params, "tokens": tokens, "loss": loss})
    fitted = fit_law(table, form="chinchilla", draws=40)
    # What the rows leave open outweighs noise, so that a run helps.
    scatter = 0.1 * np.random.default_rng(1).standard_normal(fitted.draws.shape)
    quiet = dataclasses.replace(fitted.spread, noise=0.001, drift=0.0)
    return dataclasses.replace(fitted, draws=fitted.fitted.parameters + scatter, spread=quiet)


def test_the_run_to_add_costs_a_tenth_at_most_and_helps(law: Law) -> None:
    found = outlook(law, TARGET)
    assert found.forecast == forecast_law(law, TARGET)
    run = found.to_json()["next_run"]
    assert run["flops"] == pytest.approx(6 * run["params"] * run["tokens"])
    assert run["flops"] <= 0.1 * 6 * 2e9 * 1e11
    low, high = found.forecast.ci90
    assert run["halfwidth"] < (high - low) / 2
    assert outlook_words(law, found)[-1].startswith("Next       Add ")


def test_in_words(law: Law) -> None:
    lines = outlook_words(law, outlook(law, TARGET))
    assert lines[0].startswith("Forecast   loss 2.")
    assert "90 % range" in lines[0]
    assert lines[1].startswith("Verdict    ")
    assert "params varied 1e+08 to 1e+09, 2 times beyond" in lines[2]


def test_where_costs_are_not_told_there_is_no_run_to_add(runs: Callable[..., dict]) -> None:
    columns = runs(3, 4)
    table = table_from_columns({name: columns[name] for name in ("params", "loss")})
    found = outlook(fit_law(table, draws=5), {"params": 1e10})
    assert found.next_run is None
    assert found.to_json()["next_run"] is None


def test_a_target_without_tokens(law: Law) -> None:
    with pytest.raises(WindtunnelError, match="the target needs tokens"):
        outlook(law, {"params": 1e9})
