from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from windtunnel.models import unit_scaling
from windtunnel.models.unit_scaling import residual_weight, scaled


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def rms(values: Tensor) -> float:
    return float(values.detach().square().mean().sqrt())


def gradients(output: Tensor, inputs: list[Tensor], seed: int = 9) -> list[Tensor]:
    """Gradients of the inputs where the output's own is standard normal."""
    passed = drawn(*output.shape, seed=seed).detach()
    return list(torch.autograd.grad(output, inputs, passed))


# --- The factor ------------------------------------------------------------------------------


def test_values_and_gradients_are_multiplied_apart() -> None:
    values = drawn(3, 2)
    result = scaled(values, forward=3.0, backward=5.0)
    assert torch.equal(result, 3.0 * values)
    result.backward(torch.ones(3, 2, dtype=torch.float64))
    assert torch.equal(values.grad, torch.full((3, 2), 5.0, dtype=torch.float64))


def test_a_factor_of_one_changes_nothing_and_keeps_the_input_apart() -> None:
    values = drawn(3)
    result = scaled(values)
    assert torch.equal(result, values)
    assert result is not values
    (gradient,) = torch.autograd.grad(result.sum(), values)
    assert torch.equal(gradient, torch.ones(3, dtype=torch.float64))


def test_factors_keep_low_precision_and_work_under_functional_transforms() -> None:
    low = torch.ones(4, dtype=torch.bfloat16, requires_grad=True)
    scaled(low, forward=0.5, backward=0.25).sum().backward()
    assert low.grad.dtype == torch.bfloat16
    batch = drawn(5, 3).detach()

    def loss(row: Tensor) -> Tensor:
        return scaled(row, forward=2.0, backward=7.0).square().sum()

    each = torch.func.vmap(torch.func.grad(loss))(batch)
    assert torch.allclose(each, 7.0 * 2 * 2.0 * batch)


# --- Each operation against torch's own, with the factors written out ------------------------


def test_linear() -> None:
    values, weight = drawn(2, 5, 8), drawn(3, 8, seed=1)
    output = unit_scaling.linear(values, weight, forward=0.25, backward=0.5)
    assert torch.allclose(output, 0.25 * values @ weight.T)
    passed = drawn(2, 5, 3, seed=9).detach()
    of_values, of_weight = gradients(output, [values, weight])
    assert torch.allclose(of_values, 0.5 * passed @ weight)
    by_hand = sum(torch.outer(passed[i, j], values[i, j]) for i in range(2) for j in range(5))
    assert torch.allclose(of_weight, by_hand / math.sqrt(10))


def test_embedding() -> None:
    table = drawn(4, 3)
    tokens = torch.tensor([[0, 1, 1], [3, 1, 0]])
    output = unit_scaling.embedding(tokens, table)
    assert torch.equal(output, table[tokens])
    passed = drawn(2, 3, 3, seed=9).detach()
    by_hand = torch.zeros(4, 3, dtype=torch.float64)
    for i in range(2):
        for j in range(3):
            by_hand[tokens[i, j]] += passed[i, j]
    (of_table,) = gradients(output, [table])
    assert torch.allclose(of_table, by_hand * math.sqrt(4 / 6))


def test_rms_norm() -> None:
    values, gain = drawn(2, 5, 8), drawn(8, seed=1)
    output = unit_scaling.rms_norm(values, gain, 0.1)
    plain = values / (values.square().mean(-1, keepdim=True) + 0.1).sqrt() * gain
    assert torch.allclose(output, plain)
    found = gradients(output, [values, gain])
    expected = gradients(plain, [values, gain])
    assert torch.allclose(found[0], expected[0])
    assert torch.allclose(found[1], expected[1] / math.sqrt(10))


@pytest.mark.parametrize(("alpha", "factor"), [(1.0, 2**0.75), (2.0, 2**0.6), (0.5, 2**0.9)])
def test_swiglu(alpha: float, factor: float) -> None:
    gate, values = drawn(7, 5), drawn(7, 5, seed=1)
    output = unit_scaling.swiglu(gate, values, alpha)
    plain = values * gate / (1 + (-alpha * gate).exp())
    assert torch.allclose(output, factor * plain)
    found, expected = (gradients(made, [gate, values]) for made in (output, plain))
    for ours, true in zip(found, expected, strict=True):
        assert torch.allclose(ours, factor * true)


def test_squared_relu() -> None:
    values = drawn(7, 5)
    output = unit_scaling.squared_relu(values)
    factor = math.sqrt(2 / 3)
    assert torch.allclose(output, factor * values.clamp(min=0) ** 2)
    (found,) = gradients(output, [values])
    assert torch.allclose(found, factor * 2 * values.clamp(min=0) * drawn(7, 5, seed=9))


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_causal_attention(alpha: float) -> None:
    query, key, value = (drawn(2, 3, 6, 4, seed=seed) for seed in range(3))
    output = unit_scaling.causal_attention(query, key, value, alpha)
    share = 1 / (1 + 4 * 4 / alpha**2)
    factor = (6 / math.log(6)) ** ((1 - share) / 2)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    scores = (alpha / 4 * query @ key.mT).masked_fill(~mask, -math.inf)
    plain = scores.softmax(-1) @ value
    assert torch.allclose(output, factor * plain)
    found, expected = (gradients(made, [query, key, value]) for made in (output, plain))
    for ours, true in zip(found, expected, strict=True):
        assert torch.allclose(ours, factor * true)


def test_attention_of_a_single_position_puts_out_its_value() -> None:
    query, key, value = (drawn(2, 3, 1, 4, seed=seed) for seed in range(3))
    assert torch.allclose(unit_scaling.causal_attention(query, key, value), value)


def test_a_residual_branch() -> None:
    hidden, weight, tau = drawn(4, 3), drawn(3, 3, seed=1), 0.75
    inside, past = unit_scaling.split(hidden, tau)
    output = unit_scaling.join(inside @ weight, past, tau)
    norm = 1.25
    assert torch.allclose(output, (tau * hidden @ weight + hidden) / norm)
    passed = drawn(4, 3, seed=9).detach()
    of_hidden, of_weight = gradients(output, [hidden, weight])
    assert torch.allclose(of_hidden, (tau * passed @ weight.T + passed) / norm)
    assert torch.allclose(of_weight, hidden.T @ passed)  # not yet tau / norm


def test_cross_entropy() -> None:
    logits, targets = drawn(6, 5), torch.tensor([0, 4, 2, 2, 1, 3])
    loss = unit_scaling.cross_entropy(logits, targets)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-12)
    loss.backward()
    one_hot = F.one_hot(targets, 5)
    assert torch.allclose(logits.grad, (logits.softmax(-1) - one_hot) * 5 / 2)
    assert math.isfinite(unit_scaling.cross_entropy(drawn(2, 1), torch.tensor([0, 0])).item())


# --- Scale one -------------------------------------------------------------------------------


@pytest.mark.parametrize("fan_in", [64, 512])
def test_layers_have_unit_scale_both_ways(fan_in: int) -> None:
    tokens = torch.randint(32, (16, 64), generator=torch.Generator().manual_seed(3))
    values, weight, table = drawn(16, 64, fan_in), drawn(128, fan_in, seed=1), drawn(32, 128)
    gain = torch.ones(fan_in, dtype=torch.float64, requires_grad=True)
    mapped = unit_scaling.linear(values, weight, forward=fan_in**-0.5, backward=128**-0.5)
    looked_up = unit_scaling.embedding(tokens, table)
    normal = unit_scaling.rms_norm(3 * values, gain, 1e-6)
    for output, inputs in (
        (mapped, [values, weight]),
        (looked_up, [table]),
        (normal, [gain]),
    ):
        for tensor in (output, *gradients(output, inputs)):
            assert rms(tensor) == pytest.approx(1.0, rel=0.15)


FUNCTIONS: dict[str, tuple[Callable[..., Tensor], int, float]] = {
    "swiglu": (unit_scaling.swiglu, 2, 0.2),
    "squared_relu": (unit_scaling.squared_relu, 1, 0.2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_have_about_unit_scale_both_ways(name: str) -> None:
    function, count, tolerance = FUNCTIONS[name]
    inputs = [drawn(256, 256, seed=seed) for seed in range(count)]
    output = function(*inputs)
    for tensor in (output, *gradients(output, inputs)):
        assert rms(tensor) == pytest.approx(1.0, rel=tolerance)


@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_the_gate_has_about_unit_scale_at_any_sharpness(alpha: float) -> None:
    assert 0.7 < rms(unit_scaling.swiglu(drawn(256, 256), drawn(256, 256, seed=1), alpha)) < 1.3


@pytest.mark.parametrize("length", [64, 256])
def test_attention_puts_out_about_unit_scale(length: int) -> None:
    query, key, value = (drawn(4, 8, length, 16, seed=seed) for seed in range(3))
    assert 0.8 < rms(unit_scaling.causal_attention(query, key, value)) < 1.3


@pytest.mark.parametrize("classes", [2, 50, 1000])
def test_logits_gradients_have_unit_scale(classes: int) -> None:
    logits = torch.zeros(200, classes, dtype=torch.float64, requires_grad=True)
    targets = torch.arange(200) % classes
    unit_scaling.cross_entropy(logits, targets).backward()
    assert rms(logits.grad) == pytest.approx(1.0)


# --- The weights of branches -----------------------------------------------------------------


def test_residual_weights_by_hand() -> None:
    """Two blocks: 1 / sqrt(2 + branches before), each kind's alpha being one."""
    weights = [residual_weight(branch, 4) for branch in range(4)]
    assert weights == pytest.approx([2**-0.5, 3**-0.5, 4**-0.5, 5**-0.5])
    # alpha 2, ratio 1/2: MLP 2 sqrt(2 / 1.25) = 2.53, attention half of it.
    assert residual_weight(0, 2, 2.0, 0.5) == pytest.approx(1.6**0.5)
    assert residual_weight(1, 2, 2.0, 0.5) == pytest.approx((6.4 / 2.6) ** 0.5)


@settings(max_examples=50, deadline=None)
@given(
    blocks=st.integers(1, 30),
    alpha=st.floats(0.1, 10),
    ratio=st.floats(0.1, 10),
)
def test_branches_contribute_what_the_alphas_say_whatever_the_depth(
    blocks: int, alpha: float, ratio: float
) -> None:
    """The defining property, from the stream's shares: each join keeps the sum of squares one."""
    embedding, kinds = 1.0, [0.0, 0.0]
    for branch in range(2 * blocks):
        tau = residual_weight(branch, 2 * blocks, alpha, ratio)
        share = tau**2 / (1 + tau**2)
        embedding *= 1 - share
        kinds = [kind * (1 - share) for kind in kinds]
        kinds[branch % 2] += share
    assert embedding + sum(kinds) == pytest.approx(1.0)
    assert sum(kinds) / 2 / embedding == pytest.approx(alpha**2)
    assert kinds[0] / kinds[1] == pytest.approx(ratio**2)
