from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.scorecard import scores


def test_scores_by_hand() -> None:
    errors, half = np.array([0.01, -0.03, 0.05]), np.array([0.02, 0.02, 0.06])
    assert scores(errors, half) == pytest.approx(
        {
            "n": 3,
            "mean_abs_rel_error": 0.03,
            "max_abs_rel_error": 0.05,
            "bias": 0.01,
            "coverage90": 2 / 3,
            "halfwidth90": 0.02,
        }
    )
    weighted = scores(errors, half, np.array([0.0, 2.0, 6.0]))
    assert weighted["mean_abs_rel_error"] == pytest.approx(0.045)
    assert weighted["bias"] == pytest.approx(0.03)
    assert weighted["coverage90"] == pytest.approx(0.75)


def test_a_fit_tells_of_its_back_tests(runs: Callable[..., dict]) -> None:
    law = fit_law(table_from_columns(runs(4, 4)), draws=5)
    card = law.summary["backtest"]
    assert card["folds"] == len(card["by_fold"]) > 0
    assert card["groups"] == law.spread.groups
    assert card["checked"] == (card["groups"] >= 9)
    assert card["n"] == sum(fold["foretold"] for fold in card["by_fold"])
    means = [fold["mean_abs_rel_error"] for fold in card["by_fold"]]
    assert card["mean_abs_rel_error"] == pytest.approx(np.mean(means))
    assert card["coverage90"] >= 0.85


def test_without_a_fold_nothing_is_claimed(runs: Callable[..., dict]) -> None:
    card = fit_law(table_from_columns(runs(2, 2)), draws=5).summary["backtest"]
    assert (card["folds"], card["groups"], card["checked"]) == (0, 0, False)
    assert "mean_abs_rel_error" not in card
