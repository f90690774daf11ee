from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.held_out import HeldOut, foretell
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.table import RunTable
from windtunnel.laws.words import held_out_words


@pytest.fixture
def halves(runs: Callable[..., dict]) -> tuple[RunTable, RunTable]:
    columns = runs(5, 3, noise=0.001)
    columns["loss"][np.argmax(columns["params"])] *= 1.1
    table = table_from_columns(columns)
    large = table.numbers["flops"] > 2e20
    return table.keep(~large), table.keep(large)


@pytest.fixture
def found(halves: tuple[RunTable, RunTable]) -> HeldOut:
    return foretell(*halves, form="chinchilla")


def test_what_it_says_is_what_was_measured(found: HeldOut, halves: tuple) -> None:
    card, (small, large) = found.to_json(), halves
    assert {
        "form", "n", "mean_abs_rel_error", "max_abs_rel_error", "bias", "coverage90",
        "halfwidth90", "verdict",
    } <= set(card)  # fmt: skip
    assert (card["form"], card["n"], card["n_fitted"]) == ("chinchilla", len(large), len(small))
    errors = np.array([row["foretold"] / row["measured"] - 1 for row in card["rows"]])
    assert card["mean_abs_rel_error"] == pytest.approx(np.abs(errors).mean())
    assert card["bias"] == pytest.approx(errors.mean())
    # The run that is 10 % off is foretold too low; the others are right.
    assert errors.min() == pytest.approx(1 / 1.1 - 1, abs=0.02)
    assert np.sort(np.abs(errors))[:-1].max() < 0.03
    inside = [row["ci90"][0] <= row["measured"] <= row["ci90"][1] for row in card["rows"]]
    assert card["coverage90"] == pytest.approx(np.mean(inside))
    assert [row["line"] for row in card["rows"]] == large.lines.tolist()


def test_the_verdict_is_the_worst(found: HeldOut) -> None:
    verdicts = {one.verdict for one in found.forecasts}
    order = ["cannot say", "wide", "ok"]
    assert found.verdict == min(verdicts, key=order.index)
    assert found.reason in {one.reason for one in found.forecasts if one.verdict == found.verdict}


def test_in_words(found: HeldOut) -> None:
    lines = held_out_words(found)
    assert [line.split()[0] for line in lines[:4]] == ["Fitted", "Foretold", "Ranges", "Verdict"]
    worst = int(found.foretold.lines[np.abs(found.errors).argmax()])
    assert f"line {worst}: measured" in lines[4]


def test_nothing_to_foretell(halves: tuple[RunTable, RunTable]) -> None:
    small, large = halves
    with pytest.raises(WindtunnelError, match="no row to foretell"):
        foretell(small, large.keep(np.zeros(len(large), dtype=bool)), form="chinchilla")
