"""The spread of a difference between two methods that were run at the same scales."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.deciding.compare import compare_laws
from windtunnel.laws.deciding.paired import paired_spread
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.law import Law
from windtunnel.laws.reading import table_from_columns

SIZES = (2e7, 5e7, 1e8, 2e8, 5e8)
LENGTHS = (1e9, 3e9, 1e10, 3e10)
TARGET = {"params": 2e9, "tokens": 1e11}


def law(factor: float, seed: int, offset: float = 1.0) -> Law:
    """Runs a factor off one law of the loss, with noise of a tenth of a percent."""
    params, tokens = (part.ravel() for part in np.meshgrid(SIZES, LENGTHS))
    loss = factor * (1.8 + 480 / params**0.35 + 2100 / tokens**0.37)
    loss *= np.exp(0.001 * np.random.default_rng(seed).standard_normal(loss.size))
    columns = {"params": (offset * params).tolist(), "tokens": tokens.tolist()}
    return fit_law(table_from_columns({**columns, "loss": loss.tolist()}), draws=60)


def test_two_percent_are_shown_where_scales_are_shared() -> None:
    found = compare_laws(law(1.0, 0), law(0.98, 1), TARGET)
    assert found.verdict == "worse"
    low, high = found.difference.ci90
    assert low < 1 / 0.98 - 1 < high


def test_no_difference_is_shown_where_there_is_none() -> None:
    assert compare_laws(law(1.0, 0), law(1.0, 1), TARGET).verdict == "no difference shown"


def test_without_shared_scales_there_is_no_pairing() -> None:
    first, apart = law(1.0, 0), law(1.0, 1, offset=1.1)
    assert paired_spread(first, first) is not None
    assert paired_spread(first, apart) is None


def test_the_difference_of_a_law_with_itself_is_as_sure_as_can_be() -> None:
    first = law(1.0, 0)
    spread = paired_spread(first, first)
    assert spread is not None
    assert spread.noise < first.spread.noise / 3
    assert spread.drift < first.spread.drift
