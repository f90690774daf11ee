"""Adam's epsilon must follow the gradients: measure how they scale and hold the rules to it."""

from __future__ import annotations

import pytest
import torch

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.parametrization.slopes import fit_slope
from windtunnel.scale import Scale

BASE = Scale(64, 2)


def gradients(family: GPTFamily, planned: Plan, seed: int) -> dict[str, float]:
    """Root mean square gradient by parameter, blocks together, after three AdamW steps."""
    torch.manual_seed(seed)
    model = family.build(planned.target)
    apply_(model, planned, family=family, init_seed=seed)
    optimizer = torch.optim.AdamW(param_groups(model, planned, lr=0.003), fused=True)
    tokens = torch.randint(64, (8, 33), generator=torch.Generator().manual_seed(seed))
    for step in range(4):
        optimizer.zero_grad()
        family.loss(model, (tokens[:, :-1], tokens[:, 1:])).backward()
        if step < 3:
            optimizer.step()
    squares: dict[str, list[float]] = {}
    for name, parameter in model.named_parameters():
        square = float(parameter.grad.double().square().mean())
        squares.setdefault(without_indices(name), []).append(square)
    return {name: (sum(found) / len(found)) ** 0.5 for name, found in squares.items()}


def slopes(family: GPTFamily, axis: str, sizes: tuple[int, ...], rule: str) -> dict[str, tuple]:
    """By parameter: the slope of its gradient, and that of the epsilon the plan gives it."""
    plans = {size: plan(family, BASE, BASE.replace(**{axis: size}), rule) for size in sizes}
    runs = [(size, gradients(family, plans[size], seed)) for size in sizes for seed in range(2)]
    given = {
        without_indices(entry.name): fit_slope(sizes, [plans[s][entry.name].eps for s in sizes])[0]
        for entry in plans[sizes[0]]
    }
    return {
        name: (fit_slope([s for s, _ in runs], [run[name] for _, run in runs])[0], eps)
        for name, eps in given.items()
    }


@pytest.mark.parametrize("rule", ["mup", "completep"])
@pytest.mark.parametrize("tied", [False, True])
def test_epsilon_follows_gradients_in_width(rule: str, tied: bool) -> None:
    found = slopes(GPTFamily(vocabulary_size=64, tied=tied), "width", (64, 128, 256), rule)
    for name, (measured, eps) in found.items():
        assert measured == pytest.approx(eps, abs=0.3), name


def test_epsilon_follows_gradients_in_depth_inside_and_outside_the_blocks() -> None:
    found = slopes(GPTFamily(vocabulary_size=64), "depth", (2, 4, 8), "completep")
    for name, (measured, eps) in found.items():
        assert measured == pytest.approx(eps, abs=0.4), name
