from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.alignment import (
    Alignment,
    alignment,
    alignment_drifts,
    measure_alignment,
)
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale

BASE = Scale(32, 2)
FAMILY = GPTFamily(vocabulary_size=32)


def batch(seed: int):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(32, (4, 25), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def test_an_outer_product_with_the_input_is_fully_aligned() -> None:
    torch.manual_seed(0)
    first, z = torch.randn(24, 64), torch.randn(64)
    found = alignment(first, first + torch.outer(torch.randn(24), z), z, z)
    assert found.alpha == pytest.approx(1.0, abs=1e-5)
    assert found.fan_in == 64


def test_unrelated_changes_are_half_aligned() -> None:
    torch.manual_seed(0)
    first, weight = torch.randn(512, 512), torch.randn(512, 512)
    z, later = torch.randn(64, 512), torch.randn(64, 512)
    found = alignment(first, weight, z, later)
    assert [found.alpha, found.omega, found.u] == pytest.approx([0.5, 0.5, 0.5], abs=0.01)


def test_omega_sees_an_input_that_moves_along_the_first_weights() -> None:
    torch.manual_seed(0)
    direction, z = torch.randn(256), torch.randn(256)
    first = torch.outer(torch.randn(8), direction)
    found = alignment(first, first, z, z + 0.1 * direction)
    assert found.alpha is None and found.u is None  # the weights have not changed
    assert found.omega == pytest.approx(1.0, abs=1e-4)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 5))
def test_nothing_is_more_than_fully_aligned(seed: int, fan_in: int, examples: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(2, 7, fan_in, generator=generator, dtype=torch.float64)
    inputs = torch.randn(2, examples, fan_in, generator=generator, dtype=torch.float64)
    found = alignment(*weights, *inputs)
    assert all(value <= 1 + 1e-12 for value in (found.alpha, found.omega, found.u))


def test_it_is_measured_at_every_step_of_every_linear_layer() -> None:
    planned = plan(FAMILY, BASE, BASE.replace(width=64))
    token = tuple(part[:1, :1] for part in batch(0))
    found = measure_alignment(FAMILY, planned, batch=token, lr=0.01, seed=0, steps=3)
    assert {module for module, _ in found} >= {"head", "blocks.1.mlp.down"}
    assert {step for _, step in found} == {1, 2, 3}
    # The readout's first update is the sign of the one input that it then reads: up to the mean of
    # |z| over its root mean square, 0.8, that is full alignment.
    assert found["head", 1].alpha == pytest.approx(1 + math.log(0.8, 64), abs=0.02)
    assert found["head", 1].omega is None  # it begins at zero
    assert found["blocks.0.mlp.up", 1].alpha is None  # behind a zero readout nothing moves yet
    assert found["blocks.0.mlp.up", 3].alpha > 0.9


def invented(exponent: float, factor: float = 1.0) -> dict:
    runs = {}
    for width in (32, 64, 128):
        fan_in = 3 * width
        for seed in (0, 1):
            product = factor * fan_in**exponent * (1.01 if seed else 1.0)
            alpha = math.log(product) / math.log(fan_in)
            runs[width, seed] = {
                (f"blocks.{block}.mlp.down", 5): Alignment(fan_in, alpha, None, None)
                for block in (0, 1)
            }
    return runs


PLANS = {width: plan(FAMILY, BASE, BASE.replace(width=width)) for width in (32, 64, 128)}


def test_a_constant_factor_is_no_drift() -> None:
    (found,) = alignment_drifts(PLANS, invented(1.0, factor=0.3))
    assert found.module == "blocks.*.mlp.down"
    assert found.exponent == pytest.approx(1.0, abs=1e-6)
    assert found.alphas[0][1] < found.alphas[-1][1] < 1.0  # a single width's alpha is misled
    assert (found.assumed, found.sentence) == (1.0, None)


def test_lost_alignment_asks_for_a_higher_rate() -> None:
    (found,) = alignment_drifts(PLANS, invented(0.5))
    assert found.exponent == pytest.approx(0.5, abs=1e-6)
    assert found.ci90[0] < 0.5 < found.ci90[1]
    assert "too small there at large width: raise that layer's rate by width^0.50" in found.sentence


def test_one_rate_for_all_layers_is_told_apart() -> None:
    plans = {width: plan(FAMILY, BASE, BASE.replace(width=width), "sp") for width in PLANS}
    (found,) = alignment_drifts(plans, invented(1.0))
    assert found.assumed is None
    assert "the same rate" in found.sentence


def test_a_tied_head_is_held_against_what_readouts_assume() -> None:
    tied = GPTFamily(vocabulary_size=32, tied=True)
    plans = {w: plan(tied, BASE, BASE.replace(width=w)) for w in PLANS}
    runs = {
        (width, 0): measure_alignment(tied, planned, batch=batch(0), lr=0.01, seed=0, steps=1)
        for width, planned in plans.items()
    }
    drifts = {drift.module: drift for drift in alignment_drifts(plans, runs)}
    assert drifts["head"].assumed == 1.0
