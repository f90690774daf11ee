from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.oracles import associative_memory as memory


def slope(x, y) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_unseen_mass_is_what_samples_leave_unseen() -> None:
    generator = np.random.default_rng(0)
    chance = memory.frequencies(1000, 1.5)
    left = [
        chance[np.setdiff1d(np.arange(1000), generator.choice(1000, 200, p=chance))].sum()
        for _ in range(200)
    ]
    expected = memory.unseen_mass(1.5, np.array([200.0]), items=1000)[0]
    assert np.mean(left) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("tail", "exponent"), [(1.5, 1 / 3), (2.0, 0.5), (3.0, 2 / 3)])
def test_data_exponent(tail: float, exponent: float) -> None:
    assert memory.data_exponent(tail) == pytest.approx(exponent)
    samples = np.geomspace(100, 3000, 6)
    mass = memory.unseen_mass(tail, samples, items=3_000_000)
    assert slope(samples, mass) == pytest.approx(-exponent, abs=0.02)


def test_the_limit_of_unlimited_items() -> None:
    samples = np.array([1e3, 1e4])
    exact = memory.unseen_mass(2.0, samples, items=3_000_000)
    np.testing.assert_allclose(memory.unseen_mass(2.0, samples), exact, rtol=0.02)


@pytest.mark.parametrize(("tail", "theory"), [(1.5, 0.5), (2.0, 1.0)])
def test_capacity_exponent(tail: float, theory: float) -> None:
    assert memory.capacity_exponent(tail) == pytest.approx(theory)
    widths = np.array([32, 64, 128, 256, 512])
    missed = [
        min(
            memory.missed_mass(tail, d, int(part * d), items=20_000, labels=8, seed=0)
            for part in (0.25, 0.5, 1)
        )
        for d in widths
    ]
    # Up to logs: labels in each other's way make small widths worse than the power law.
    assert slope(widths, missed) == pytest.approx(-theory, abs=0.2)


def test_both_limits_at_once() -> None:
    found = memory.error(1.5, np.array([100.0, 1e12]), np.array([1e18, 1000.0]))
    assert found == pytest.approx([0.1, 0.1], rel=1e-3)


def test_a_light_tail_is_refused() -> None:
    with pytest.raises(WindtunnelError, match="give a tail above 1"):
        memory.frequencies(10, 1.0)
