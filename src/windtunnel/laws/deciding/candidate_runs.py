"""Runs that could be added to a table, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array

_STEP = 2.0  # between neighbouring sizes, and between neighbouring lengths
_MOST_VALUES = 16  # of each
_USUAL = (0.1, 0.9)
_MOST_SHARE = 0.5


def candidate_runs(law: Law, target: Mapping[str, float], budget: float) -> dict[str, Array]:
    """Sizes and lengths from the smallest measured up to the target's, within a budget.

    None costs more than half of what the target does, or than the dearest run measured.
    Tokens a parameter stay within the middle 80 % of those measured and the target's: where only
    a stray run has been, a form is least to be trusted, and there its draws differ most.
    Inputs other than parameters, tokens and FLOPs are the target's.

    Args:
        law: For the rows measured.
        target: Value of each of the form's inputs.
        budget: FLOPs one run may cost.

    Returns:
        (c,) values of each input, to two figures; c may be 0.

    Raises:
        WindtunnelError: The form's inputs do not say what a run costs.
    """
    # A run nearly as dear as the target is no way to learn about it.
    goal = float(training_flops({name: np.array([value]) for name, value in target.items()})[0])
    names = [name for name in ("params", "tokens", "flops") if name in target]
    axes = []
    for name in names:
        low = float(law.inputs[name].min())
        high = max(target[name], float(law.inputs[name].max()))
        count = int(np.clip(np.ceil(np.log(high / low) / np.log(_STEP)) + 1, 2, _MOST_VALUES))
        axes.append(np.array([float(f"{value:.2g}") for value in np.geomspace(low, high, count)]))
    grid = dict(
        zip(names, (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")), strict=True)
    )
    measured = {name: law.inputs[name] for name in names}
    dearest = max(_MOST_SHARE * goal, float(training_flops(measured).max()))
    costs = training_flops(grid)
    kept = (costs <= budget) & (costs <= dearest)
    if "params" in grid and "tokens" in grid:
        ratios = grid["tokens"] / grid["params"]
        usual = np.quantile(law.inputs["tokens"] / law.inputs["params"], _USUAL)
        usual = np.append(usual, target["tokens"] / target["params"])
        kept &= (ratios >= usual.min() / _STEP) & (ratios <= usual.max() * _STEP)
    count = int(kept.sum())
    return {
        name: grid[name][kept] if name in grid else np.full(count, value)
        for name, value in target.items()
    }


def training_flops(inputs: Mapping[str, Array]) -> Array:
    """(n,) cost of runs: their FLOPs where a form counts them, else 6 a parameter and token.

    Raises:
        WindtunnelError: Neither is among the inputs.
    """
    if "flops" in inputs:
        return inputs["flops"]
    if "params" in inputs and "tokens" in inputs:
        product: Array = 6.0 * inputs["params"] * inputs["tokens"]
        return product
    raise WindtunnelError(
        f"next: a form of {', '.join(inputs)} does not say what a run costs; fit one of "
        "params and tokens, or of flops"
    )
