from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.sparse import Pruning, average_params, average_params_of_curve


def test_the_average_is_the_curve_s() -> None:
    pruning = Pruning(sparsity=0.8, start=0.25, end=0.75)
    tokens = np.linspace(0.0, 1.0, 20001)
    curve = 1e9 * pruning.remaining(tokens)
    assert curve[0] == 1e9 and curve[-1] == pytest.approx(0.2e9)
    assert average_params(1e9, pruning) == pytest.approx(
        average_params_of_curve(tokens * 5e9, curve), rel=1e-7
    )
    # By hand: 1 - .8 (.75 * .5 + .25)
    assert average_params(1e9, pruning, kept=1e8) == pytest.approx(1e8 + 0.5e9)


def test_a_dense_model_s_average_is_its_size_and_a_step_s_is_the_mean_of_both_sides() -> None:
    assert average_params(7.0, Pruning(0.0, 0.0, 1.0)) == 7.0
    assert average_params(10.0, Pruning(0.5, 0.4, 0.4)) == pytest.approx(10 * (0.4 + 0.6 * 0.5))


@pytest.mark.parametrize(("start", "end"), [(0.25, 0.75), (0.0, 0.5), (0.1, 1.0), (0.0, 1.0)])
def test_shares_of_compute_are_turned_into_shares_of_tokens(start: float, end: float) -> None:
    pruning = Pruning.by_compute(0.8, start, end)
    tokens = np.linspace(0.0, 1.0, 200001)
    left = pruning.remaining(tokens)
    spent = np.concatenate([[0.0], np.cumsum((left[1:] + left[:-1]) / 2)])
    spent /= spent[-1]
    assert np.interp(pruning.start, tokens, spent) == pytest.approx(start, abs=1e-4)
    assert np.interp(pruning.end, tokens, spent) == pytest.approx(end, abs=1e-4)


@pytest.mark.parametrize("values", [(1.0, 0.2, 0.5), (0.5, 0.6, 0.5), (0.5, -0.1, 0.5)])
def test_impossible_schedules_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(WindtunnelError, match=r"^pruning: sparsity"):
        Pruning(*values)
    with pytest.raises(WindtunnelError, match=r"^pruning: sparsity"):
        Pruning.by_compute(*values)


def test_a_curve_needs_rising_tokens() -> None:
    with pytest.raises(WindtunnelError, match="tokens that rise"):
        average_params_of_curve(np.array([1.0, 1.0]), np.array([5.0, 5.0]))
