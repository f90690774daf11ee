from __future__ import annotations

import numpy as np
import pytest

from windtunnel.laws.bowl import SHAPE, bowl


def shapes(seed: int = 0) -> np.ndarray:
    return SHAPE + 0.4 * np.random.default_rng(seed).standard_normal((5, 6))


def test_the_least_is_at_zero_and_the_surface_is_convex() -> None:
    z = np.random.default_rng(1).uniform(-2, 2, (5, 200, 2))
    height = np.zeros((5, 200))
    rise, _, _ = bowl(z, height, shapes())
    assert (rise > 0).all()
    at_zero, slope, _ = bowl(np.zeros((5, 1, 2)), np.zeros((5, 1)), shapes())
    np.testing.assert_allclose(at_zero, 0.0, atol=1e-12)
    np.testing.assert_allclose(slope, 0.0, atol=1e-12)
    middle, _, _ = bowl((z[:, :100] + z[:, 100:]) / 2, height[:, :100], shapes())
    assert (middle <= (rise[:, :100] + rise[:, 100:]) / 2 + 1e-12).all()


def test_too_high_a_rate_costs_more_than_too_low_a_one() -> None:
    z = np.array([[[1.5, 0.0], [-1.5, 0.0]]])
    high, low = bowl(z, np.zeros((1, 2)), SHAPE[None])[0][0]
    assert high > low


def test_jacobian_is_the_derivative() -> None:
    generator = np.random.default_rng(2)
    z, height, shape = generator.normal(size=(5, 20, 2)), generator.normal(size=(5, 20)), shapes()
    rise, by_z, by_shape = bowl(z, height, shape)
    step = 1e-6
    for axis in range(2):
        move = step * np.eye(2)[axis]
        found = (bowl(z + move, height, shape)[0] - bowl(z - move, height, shape)[0]) / (2 * step)
        np.testing.assert_allclose(by_z[:, :, axis], found, rtol=1e-6, atol=1e-8)
    for axis in range(6):
        move = step * np.eye(6)[axis]
        found = (bowl(z, height, shape + move)[0] - bowl(z, height, shape - move)[0]) / (2 * step)
        np.testing.assert_allclose(by_shape[:, :, axis], found, rtol=1e-5, atol=1e-8)
    found = (bowl(z, height + step, shape)[0] - bowl(z, height - step, shape)[0]) / (2 * step)
    np.testing.assert_allclose(rise, found, rtol=1e-6, atol=1e-8)


def test_equal_optima_are_power_laws_if_every_term_is() -> None:
    """The claim in the docstring: three power laws of rate, batch and size have such a least."""
    generator = np.random.default_rng(3)
    powers = np.array([[-0.2, 0.2], [1.5, 0.1], [0.2, -0.5]])
    sizes = generator.normal(size=3)
    grid = np.stack(np.meshgrid(*[np.linspace(-6, 6, 1201)] * 2, indexing="ij"), axis=-1)
    least = []
    for size in (0.0, 1.0, 2.0):
        total = sum(
            np.exp(grid @ power + own * size)
            for power, own in zip(powers, 0.3 * sizes, strict=True)
        )
        least.append(grid.reshape(-1, 2)[total.argmin()])
    assert least[2] - least[1] == pytest.approx(least[1] - least[0], abs=0.03)
