"""Alignment measured during training: how well weights and what they multiply point the same way.

A product of weights and inputs adds up `fan_in` terms: to `fan_in ** 1/2` times their size where
they are unrelated, and to `fan_in` times where they point the same way. Rules assume one or the
other to set their rates; this measures it (Everett et al. 2024, arXiv 2407.05872, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from windtunnel.models.family import Family
from windtunnel.parametrization.coordinates import prepare, root_mean_square, seeded
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import Plan
from windtunnel.parametrization.rule import load_rule
from windtunnel.parametrization.slopes import fit_slope
from windtunnel.scale import Geometry, Role

# Exponents that are off by less are not worth a sentence: half of the gap between none and full.
_DRIFT = 0.25


@dataclass(frozen=True, slots=True)
class Alignment:
    """Exponents of fan-in for the three ways in which training changes a layer's output.

    With first weights W and inputs z, and their changes dW and dz, the output changes by
    `dW z + W dz + dW dz`. An exponent is the logarithm, to base fan-in, of the product's root mean
    square over those of its two factors. It is 1 where they are fully aligned and about 1/2 where
    not at all; None where a factor is zero.

    Attributes:
        fan_in: Terms that each product adds up.
        alpha: Of dW with z.
        omega: Of W with dz.
        u: Of dW with dz.
    """

    fan_in: int
    alpha: float | None
    omega: float | None
    u: float | None


@dataclass(frozen=True, slots=True)
class AlignmentDrift:
    """Alignment of one kind of layer as width grows.

    Attributes:
        module: Name, with `*` for the block.
        alphas: By width, alpha, averaged over blocks and seeds.
        exponent: Power of fan-in by which dW z adds up, from its growth over the widths: other
            than a single width's alpha it is free of constant factors.
        ci90: Its 90 % range.
        assumed: What the rule's rates assume; None where one rate serves all layers.
        sentence: What it means and what to do; None where the assumption holds.
    """

    module: str
    alphas: tuple[tuple[int, float], ...]
    exponent: float
    ci90: tuple[float, float]
    assumed: float | None
    sentence: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "module": self.module,
            "alphas": [{"width": width, "alpha": alpha} for width, alpha in self.alphas],
            "exponent": self.exponent,
            "ci90": list(self.ci90),
            "assumed": self.assumed,
            "sentence": self.sentence,
        }


@torch.no_grad()
def alignment(
    first_weight: Tensor, weight: Tensor, first_input: Tensor, input: Tensor
) -> Alignment:
    """The alignments of a linear layer between its first and its present state.

    Args:
        first_weight: (fan-out, fan-in), before training.
        weight: (fan-out, fan-in), now.
        first_input: (..., fan-in), before training.
        input: (..., fan-in), now, for the same examples.
    """
    change, moved = weight - first_weight, input - first_input
    return Alignment(
        fan_in=weight.shape[1],
        alpha=_exponent(change, first_input),
        omega=_exponent(first_weight, moved),
        u=_exponent(change, moved),
    )


def measure_alignment(
    family: Family, plan: Plan, *, batch: Any, lr: float, seed: int, steps: int
) -> dict[tuple[str, int], Alignment]:
    """Train for a few steps on one batch and measure every linear layer's alignments.

    Args:
        family: What to build and how to compute its loss.
        plan: Its plan.
        batch: The one batch that is trained on.
        lr: Learning rate at base.
        seed: Seed of the initialisation.
        steps: Optimizer steps.

    Returns:
        By module and step, from step 1.
    """
    model, optimizer = prepare(family, plan, lr=lr, seed=seed)
    layers = {name: module for name, module in model.named_modules() if _is_linear(module)}
    inputs: dict[str, Tensor] = {}
    for name, module in layers.items():
        module.register_forward_pre_hook(_keep(inputs, name))
    first_weights = {name: _weight(module).clone() for name, module in layers.items()}
    first_inputs: dict[str, Tensor] = {}
    measured: dict[tuple[str, int], Alignment] = {}
    for step in range(steps + 1):
        inputs.clear()
        with seeded(seed):
            loss = family.loss(model, batch)
        if step == 0:
            first_inputs = dict(inputs)
        for name, present in inputs.items() if step else ():
            first = first_inputs.get(name)
            if first is not None and first.shape == present.shape:
                weight = _weight(layers[name])
                measured[name, step] = alignment(first_weights[name], weight, first, present)
        if step < steps:
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return measured


def alignment_drifts(
    plans: Mapping[int, Plan],
    measured: Mapping[tuple[int, int], Mapping[tuple[str, int], Alignment]],
) -> tuple[AlignmentDrift, ...]:
    """Compare alpha at the last step between widths, with what the rule assumes.

    Args:
        plans: By width, three or more, from one base.
        measured: By width and seed, what `measure_alignment` returned.

    Returns:
        One entry for each kind of layer that was measured in every run.
    """
    last = max((step for run in measured.values() for _, step in run), default=0)
    points: dict[str, list[tuple[int, int, float]]] = {}
    for (width, _), run in measured.items():
        for (module, step), found in run.items():
            if step == last and found.alpha is not None:
                point = (width, found.fan_in, found.alpha)
                points.setdefault(without_indices(module), []).append(point)
    one = next(iter(plans.values()))
    return tuple(
        _drift(module, found, _assumed(one, module))
        for module, found in points.items()
        if {width for width, _, _ in found} == set(plans)
        and len({fan_in for _, fan_in, _ in found}) > 1
    )


def _drift(
    module: str, points: list[tuple[int, int, float]], assumed: float | None
) -> AlignmentDrift:
    products = [float(fan_in) ** alpha for _, fan_in, alpha in points]
    exponent, ci90 = fit_slope((fan_in for _, fan_in, _ in points), products)
    at: dict[int, list[float]] = {}
    for width, _, alpha in sorted(points):
        at.setdefault(width, []).append(alpha)
    alphas = tuple((width, sum(found) / len(found)) for width, found in at.items())
    expected = 0.0 if assumed is None else assumed
    off = [end - expected for end in ci90]
    sentence = None
    if min(off) > _DRIFT or max(off) < -_DRIFT:
        sentence = _sentence(module, alphas, exponent, assumed)
    return AlignmentDrift(module, alphas, exponent, ci90, assumed, sentence)


def _sentence(
    module: str, alphas: tuple[tuple[int, float], ...], exponent: float, assumed: float | None
) -> str:
    (narrow, first), (wide, last) = alphas[0], alphas[-1]
    found = (
        f"alignment of {module}: alpha is {first:.2f} at width {narrow} and {last:.2f} at {wide}, "
        f"so its updates add up as fan-in^{exponent:.2f}"
    )
    if assumed is None:
        return (
            f"{found} and the rule gives every width the same rate; use a rule with rates for "
            "each layer"
        )
    off = exponent - assumed
    size, remedy = ("small", "raise") if off < 0 else ("large", "lower")
    return (
        f"{found} where the rule's rates assume {assumed:g}; they are too {size} there at large "
        f"width: {remedy} that layer's rate by width^{abs(off):.2f}, or use a rule for other "
        "alignment (`windtunnel rules`)"
    )


def _assumed(plan: Plan, module: str) -> float | None:
    """The power of fan-in by which the plan's rule takes a layer's update to add up."""
    entry, name = next(
        (entry, name)
        for entry in plan
        for name in (entry.name, *entry.also)
        if without_indices(name.rpartition(".")[0]) == module and len(entry.shape) == 2
    )
    alignments = load_rule(plan.rule, plan.rule_content).alignment
    if alignments is None:
        return None
    if entry.geometry in (Geometry.ORTHOGONAL, Geometry.KRONECKER):
        return 0.5  # entries are 1/sqrt(fan-in) of the singular values, which lengths follow
    return alignments[Role.OUTPUT if name != entry.name else entry.role]  # a tied table's head


def _exponent(weight: Tensor, input: Tensor) -> float | None:
    product = root_mean_square(input @ weight.to(input.dtype).T)
    factors = root_mean_square(weight) * root_mean_square(input)
    fan_in = weight.shape[1]
    if product == 0.0 or factors == 0.0 or fan_in < 2:
        return None
    return math.log(product / factors) / math.log(fan_in)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or _is_transposed(module)


def _is_transposed(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D"  # transformers' GPT-2: weights are (in, out)


def _weight(module: nn.Module) -> Tensor:
    weight: Any = module.weight
    tensor: Tensor = weight.detach()
    return tensor.T if _is_transposed(module) else tensor


def _keep(inputs: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if arguments and isinstance(arguments[0], Tensor):
            inputs[name] = arguments[0].detach().clone()

    return hook
