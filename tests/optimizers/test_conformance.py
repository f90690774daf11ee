"""One suite for every optimizer in the registry: what the contract promises."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import optimizer_method, optimizer_names
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.update_rule import UpdateRule
from windtunnel.scale import Recipe

METHODS = [optimizer_method(name) for name in optimizer_names()]
RULED = [method for method in METHODS if method.rule is not None]
STEPS = 20
LR, DECAY = 0.02, 0.3
RECIPE = Recipe(lr=LR, batch_units=1, weight_decay=DECAY)
# Of gradients: some so small that an epsilon of 1e-8 matters to them.
SIZES = (1.0, 1e-7, 1e-10)

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
every_rule = pytest.mark.parametrize("method", RULED, ids=lambda method: method.name)


def rule_of(method: OptimizerMethod) -> UpdateRule:
    assert method.rule is not None
    return method.rule


def shapes_of(rule: UpdateRule) -> Iterator[tuple[int, ...]]:
    """Shapes that the rule takes."""
    for shape in ((), (5,), (4, 4), (3, 7), (7, 3), (2, 3, 4)):
        try:
            rule.check(shape)
        except WindtunnelError:
            continue
        yield shape


def problem(shape: tuple[int, ...], size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A first parameter and gradients of one size."""
    random = np.random.default_rng([seed, *shape, round(-np.log10(size))])
    return random.normal(size=shape), size * random.normal(size=(STEPS, *shape))


def built(method: OptimizerMethod, parameters: list[nn.Parameter], **group: Any) -> Any:
    """The method's optimizer over parameters that it updates itself, all in one group."""
    settings = {"lr": LR, "weight_decay": DECAY, "eps": 1e-8, "method": method.name, **group}
    return method.build([{"params": parameters, **settings}], RECIPE)


def stepped(optimizer: Any, parameter: nn.Parameter, gradients: np.ndarray) -> np.ndarray:
    for gradient in gradients:
        take_step(optimizer, [parameter], gradient)
    return parameter.detach().double().numpy()


def take_step(optimizer: Any, parameters: list[nn.Parameter], gradient: np.ndarray) -> None:
    """A step of all with one gradient, and the signal after it where one is due."""
    for parameter in parameters:
        parameter.grad = torch.tensor(gradient, dtype=parameter.dtype)
    optimizer.step()
    signal = getattr(optimizer, "rule", None) and optimizer.rule.signal
    if signal and int(optimizer.state[parameters[0]]["step"]) % signal.every == 0:
        for parameter in parameters:
            # A function of the gradient at which it is given, so that a run can stop anywhere.
            parameter.grad = signal_at(parameter.grad)
        optimizer.observe()


def signal_at(gradient: Any) -> Any:
    """What is given as the signal after a step with that gradient: some curvature is felt."""
    return 3e3 * gradient


def ruled(
    rule: UpdateRule, start: np.ndarray, gradients: np.ndarray, **settings: Any
) -> np.ndarray:
    """Where the rule alone takes a parameter."""
    parameter = nn.Parameter(torch.as_tensor(start.copy()))
    optimizer = RuleOptimizer([parameter], rule, lr=LR, weight_decay=DECAY, **settings)
    return stepped(optimizer, parameter, gradients)


def reference(rule: UpdateRule, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    assert rule.reference is not None, "every rule of the registry has a reference"
    return rule.reference(
        start.copy(), gradients, lr=LR, weight_decay=DECAY, **signals_of(rule, gradients)
    )


def signals_of(rule: UpdateRule, gradients: np.ndarray) -> dict[str, np.ndarray]:
    """What the reference is told beside gradients."""
    if rule.signal is None:
        return {}
    return {"signals": signal_at(gradients[rule.signal.every - 1 :: rule.signal.every])}


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest entry."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def problems(rule: UpdateRule) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for shape in shapes_of(rule):
        for size in SIZES:
            yield problem(shape, size, seed=0)
        start, gradients = problem(shape, 1.0, seed=1)
        yield np.asarray(1e-6 * start), gradients  # where a least size of parameters matters


@every_rule
def test_the_rule_and_what_is_built_equal_the_reference(method: OptimizerMethod) -> None:
    rule = rule_of(method)
    for start, gradients in problems(rule):
        expected = reference(rule, start, gradients)
        assert distance(ruled(rule, start, gradients), expected) < 1e-10
        parameter = nn.Parameter(torch.as_tensor(start.copy()))
        assert distance(stepped(built(method, [parameter]), parameter, gradients), expected) < 1e-10


LONG = 50  # a period of more steps than the suite takes


def periods(rule: UpdateRule) -> list[str]:
    """Constants that count steps, more of them than the suite takes."""
    return [
        name for name, value in rule.constants.items() if isinstance(value, int) and value > LONG
    ]


@every_rule
def test_what_happens_every_so_many_steps_equals_the_reference(method: OptimizerMethod) -> None:
    """With a short period; the default is held against the reference's own."""
    rule = rule_of(method)
    assert rule.reference is not None
    for name in periods(rule):
        assert inspect.signature(rule.reference).parameters[name].default == rule.constants[name]
        for start, gradients in problems(rule):
            found = ruled(rule, start, gradients, **{name: 6})
            expected = rule.reference(
                start.copy(), gradients, lr=LR, weight_decay=DECAY, **{name: 6}
            )
            assert distance(found, expected) < 1e-10


@pytest.mark.parametrize(
    ("method", "constant"),
    [
        (method, name)
        for method in RULED
        for name in rule_of(method).constants
        if name not in periods(rule_of(method))
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_changed_constant_is_seen(method: OptimizerMethod, constant: str) -> None:
    rule = rule_of(method)
    default = rule.constants[constant]
    near_one = 0.99 < default < 1
    changes = [default + 1 if isinstance(default, int) else default * (0.99 if near_one else 1.01)]
    if default < 1e-5:  # below numbers of order one a hundredth of it is less than rounding
        changes.append(default * 100)
    if constant in rule.shared:  # a share of something small may be rounded to the same number
        changes += [default / 2, default * 2]
    seen = [
        distance(ruled(rule, *given, **{constant: changed}), reference(rule, *given))
        for given in problems(rule)
        for changed in changes
    ]
    assert max(seen) > 1e-9


@every_rule
def test_state_is_as_large_as_it_says(method: OptimizerMethod) -> None:
    rule = rule_of(method)
    for shape in shapes_of(rule):
        start, gradients = problem(shape, 1.0, seed=1)
        parameter = nn.Parameter(torch.as_tensor(start))
        optimizer = RuleOptimizer([parameter], rule)
        stepped(optimizer, parameter, gradients[:1])
        held = {name: value for name, value in optimizer.state[parameter].items() if name != "step"}
        assert rule.state_size is not None, "every rule of the registry says what it holds"
        assert sum(value.numel() for value in held.values()) == rule.state_size(shape)


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_run_that_goes_on_from_its_state_is_the_same_bit_for_bit(
    method: OptimizerMethod, dtype: torch.dtype
) -> None:
    start, gradients = problem((6, 4), 1.0, seed=2)
    whole, first, second = (
        nn.Parameter(torch.as_tensor(start).to(dtype, copy=True)) for _ in range(3)
    )
    expected = stepped(built(method, [whole]), whole, gradients)
    optimizer = built(method, [first])
    stepped(optimizer, first, gradients[:7])
    with torch.no_grad():
        second.copy_(first)
    going_on = built(method, [second])
    going_on.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert np.array_equal(stepped(going_on, second, gradients[7:]), expected)


@every_method
def test_each_group_has_its_own_settings(method: OptimizerMethod) -> None:
    start, gradients = problem((6, 4), 1.0, seed=3)
    fast, slow = (nn.Parameter(torch.as_tensor(start.copy())) for _ in range(2))
    optimizer = built(method, [fast], lr=0.1)
    optimizer.add_param_group(
        {"params": [slow], "lr": 0.01, "weight_decay": 0.0, "method": method.name, "eps": 1e-8}
    )
    for gradient in gradients:
        take_step(optimizer, [fast, slow], gradient)
    for number, (together, settings) in enumerate(
        ((fast, {"lr": 0.1}), (slow, {"lr": 0.01, "weight_decay": 0.0}))
    ):
        alone = nn.Parameter(torch.as_tensor(start.copy()))
        before = [nn.Parameter(torch.zeros(2, 2)) for _ in range(number)]  # what is drawn, is by it
        stepped(built(method, [*before, alone], **settings), alone, gradients)
        assert torch.equal(together, alone)


@every_method
def test_a_closure_is_called_with_gradients_on_and_a_parameter_without_one_stays(
    method: OptimizerMethod,
) -> None:
    start, _ = problem((6, 4), 1.0, seed=4)
    moved, left = (nn.Parameter(torch.as_tensor(start.copy())) for _ in range(2))
    optimizer = built(method, [moved, left])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = moved.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(np.square(start).sum())
    optimizer.step(closure)  # SOAP's first only makes its bases
    assert not torch.equal(moved, torch.as_tensor(start))
    assert torch.equal(left, torch.as_tensor(start))
    assert not optimizer.state[left]


@every_rule
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_in_lower_precision_it_comes_out_near(
    method: OptimizerMethod, dtype: torch.dtype, near: float
) -> None:
    rule = rule_of(method)
    start, gradients = problem((6, 4), 1.0, seed=5)
    parameter = nn.Parameter(torch.as_tensor(start).to(dtype))
    rounded = parameter.detach().double().numpy()
    gradients = torch.as_tensor(gradients).to(dtype).double().numpy()
    found = stepped(built(method, [parameter]), parameter, gradients)
    assert parameter.dtype == dtype
    assert distance(found, reference(rule, rounded, gradients)) < near


@every_rule
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_eight_members_together_step_as_each_alone(
    method: OptimizerMethod, dtype: torch.dtype, near: float
) -> None:
    """With a rate, a decay and every constant that is not shared of their own."""
    rule, members = rule_of(method), 8
    random = np.random.default_rng(6)
    own = {name: value for name, value in rule.constants.items() if name not in rule.shared}
    spread = {name: value * random.uniform(0.9, 1.0, members) for name, value in own.items()}
    spread |= {"lr": LR * random.uniform(0.5, 2, members), "weight_decay": random.random(members)}
    for shape in shapes_of(rule):
        given = [problem(shape, 1.0, seed=10 + member) for member in range(members)]
        starts, gradients = (np.stack(part) for part in zip(*given, strict=True))
        stacked = nn.Parameter(torch.as_tensor(starts).to(dtype, copy=True))
        together = RuleOptimizer(
            [stacked],
            rule,
            members=members,
            **{name: torch.as_tensor(values) for name, values in spread.items()},
        )
        found = stepped(together, stacked, gradients.swapaxes(0, 1))
        for member in range(members):
            alone = nn.Parameter(torch.tensor(starts[member], dtype=dtype))
            settings = {name: float(values[member]) for name, values in spread.items()}
            expected = stepped(RuleOptimizer([alone], rule, **settings), alone, gradients[member])
            assert distance(found[member], expected) < near


def test_a_population_in_bfloat16_is_refused() -> None:
    rule = rule_of(optimizer_method("lion"))
    with pytest.raises(WindtunnelError, match="have to be float32, not torch"):
        RuleOptimizer([nn.Parameter(torch.zeros(2, 3).bfloat16())], rule, members=2)
