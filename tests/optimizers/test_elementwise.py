"""The ways an elementwise rule goes over memory: all give what the rule alone gives."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from windtunnel.optimizers import optimizer_method, optimizer_names
from windtunnel.optimizers.classes import elementwise, rule_optimizer
from windtunnel.optimizers.classes.compiled import compiler_found
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer
from windtunnel.optimizers.method import OptimizerMethod

ELEMENTWISE = [
    method
    for method in map(optimizer_method, optimizer_names())
    if method.rule is not None and method.rule.elementwise
]
STEPS = 4
every_rule = pytest.mark.parametrize("method", ELEMENTWISE, ids=lambda method: method.name)


def problem(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(list(shape))
    return random.normal(size=shape), random.normal(size=(STEPS, *shape))


def stepped(
    optimizer: RuleOptimizer, parameter: nn.Parameter, gradients: np.ndarray
) -> torch.Tensor:
    for number, gradient in enumerate(gradients):
        optimizer.param_groups[0]["lr"] = 0.02 / (1 + number)
        parameter.grad = torch.as_tensor(gradient, dtype=parameter.dtype)
        optimizer.step()
    return parameter.detach().clone()


def run(
    method: OptimizerMethod, dtype: torch.dtype, shape: tuple[int, ...], compiled: bool
) -> torch.Tensor:
    start, gradients = problem(shape)
    parameter = nn.Parameter(torch.as_tensor(start).to(dtype))
    assert method.rule is not None
    optimizer = RuleOptimizer([parameter], method.rule, weight_decay=0.3, compiled=compiled)
    return stepped(optimizer, parameter, gradients)


@every_rule
def test_in_pieces_it_is_the_same_bit_for_bit(
    method: OptimizerMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elementwise, "LEAST", 2**62)
    whole = run(method, torch.float32, (33, 7), compiled=False)
    monkeypatch.setattr(elementwise, "LEAST", 2)
    monkeypatch.setattr(elementwise, "PIECE", 64)
    assert torch.equal(run(method, torch.float32, (33, 7), compiled=False), whole)


@pytest.mark.skipif(not compiler_found(), reason="needs a C++ compiler")
@every_rule
def test_compiled_it_is_the_same_up_to_rounding_whatever_the_shape_and_the_rate(
    method: OptimizerMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elementwise, "LEAST", 2)
    compilations = []
    compile_once = elementwise.kernel
    monkeypatch.setattr(
        elementwise, "kernel", lambda update: compilations.append(update) or compile_once(update)
    )
    torch._dynamo.reset()
    for shape in ((33, 7), (5,), (2, 3, 4)):
        expected = run(method, torch.float64, shape, compiled=False)
        assert not compilations
        found = run(method, torch.float64, shape, compiled=True)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
        assert len(compilations) == STEPS
        compilations.clear()
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch._dynamo.utils.counters.clear()
    assert graphs == 1


@pytest.mark.skipif(not compiler_found(), reason="needs a C++ compiler")
def test_compiled_it_goes_on_from_its_state_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "LEAST", 2)
    rule = optimizer_method("lion").rule
    assert rule is not None
    start, gradients = problem((33, 7))
    whole, first = (nn.Parameter(torch.as_tensor(start).bfloat16()) for _ in range(2))
    expected = stepped(RuleOptimizer([whole], rule, compiled=True), whole, gradients)
    optimizer = RuleOptimizer([first], rule, compiled=True)
    rates = [0.02 / (1 + number) for number in range(STEPS)]
    for number, gradient in enumerate(gradients):
        if number == 2:
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = RuleOptimizer([first], rule, compiled=True)
            optimizer.load_state_dict(saved)
        optimizer.param_groups[0]["lr"] = rates[number]
        first.grad = torch.as_tensor(gradient).bfloat16()
        optimizer.step()
    assert torch.equal(first, expected)


def test_it_compiles_only_what_is_worth_it_and_where_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = []
    monkeypatch.setattr(elementwise, "LEAST", 2)
    monkeypatch.setattr(elementwise, "kernel", lambda _: lambda *given: used.append(len(given)))
    lion, muon = (optimizer_method(name).rule for name in ("lion", "muon"))
    assert lion is not None and muon is not None
    for rule, worth, found, expected in (
        (lion, 6, True, 1),
        (lion, 7, True, 0),
        (lion, 6, False, 0),
        (muon, 6, True, 0),
    ):
        monkeypatch.setattr(rule_optimizer, "WORTH_COMPILING", worth)
        monkeypatch.setattr(rule_optimizer, "compiler_found", lambda found=found: found)
        parameter = nn.Parameter(torch.ones(2, 3))
        parameter.grad = torch.ones(2, 3)
        RuleOptimizer([parameter], rule).step()
        assert len(used) == expected
        used.clear()


def test_autograd_refuses_to_go_back_through_a_parameter_that_has_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(elementwise, "LEAST", 2)
    rule = optimizer_method("lion").rule
    assert rule is not None
    parameter = nn.Parameter(torch.ones(2, 3))
    loss = parameter.square().sum()
    parameter.grad = torch.ones(2, 3)
    RuleOptimizer([parameter], rule).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@every_rule
@pytest.mark.parametrize("piece", [elementwise.PIECE, elementwise.LEAST + 20])
def test_small_tensors_step_together_as_each_alone(
    method: OptimizerMethod, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With settings of their group, and a step of their own where a gradient was missing."""
    monkeypatch.setattr(elementwise, "PIECE", piece)
    rule = method.rule
    assert rule is not None
    shapes = ((), (5,), (4, 4), (3, 7), (16,), (2, 3))

    def moved(chosen: list[int]) -> list[torch.Tensor]:
        own = {
            number: nn.Parameter(torch.as_tensor(problem(shapes[number])[0])) for number in chosen
        }
        groups = [
            {"params": [own[number] for number in chosen if number % 2 == half], "lr": lr}
            for half, lr in ((0, 0.1), (1, 0.02))
        ]
        optimizer = RuleOptimizer([g for g in groups if g["params"]], rule, weight_decay=0.3)
        for step in range(STEPS):
            for number, parameter in own.items():
                missing = number == 4 and step == 1
                gradient = torch.as_tensor(problem(shapes[number])[1][step])
                parameter.grad = None if missing else gradient
            optimizer.step()
        return [parameter.detach() for parameter in own.values()]

    for number, together in enumerate(moved(list(range(len(shapes))))):
        torch.testing.assert_close(together, moved([number])[0], rtol=1e-13, atol=1e-15)
