"""How far a batch rule can be trusted, once the critical batch is measured."""

from __future__ import annotations

import math
from collections.abc import Callable

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.horizon import load_recipe_rule
from windtunnel.scale import Geometry


def _best_sgd(batch: float) -> float:
    return 1 / (1 + 1 / batch)


def _best_sign(batch: float) -> float:
    return 2 / (math.sqrt(1 / batch) + math.sqrt(batch))


# The best rate over the greatest there is, at a batch quoted in critical batches.
_BEST: dict[Geometry, Callable[[float], float]] = {
    Geometry.SGD: _best_sgd,
    Geometry.SIGN: _best_sign,
}


def rate_overshoot(
    rule_name: str, batch_units: float, batch_ratio: float, critical_batch: float
) -> float:
    """The rule's rate at another batch over the best one, if it was the best at base.

    For SGD the best rate is `1 / (1 + c / B)` of its limit at batch `B` and critical batch `c`; for
    Adam and its kin `2 / (sqrt(c / B) + sqrt(B / c))` of its greatest value, at `B = c`. Far below
    `c` these are the linear and the square-root rule, both of which overshoot by `(k B + c) / (B +
    c)` at `k` times the batch.

    Source: McCandlish et al. 2018 (arXiv 1812.06162), equation 2.6, for SGD; Li et al. 2024 (arXiv
    2405.14578) for updates like Adam's, recalled and not checked against the paper.

    Args:
        rule_name: A recipe rule that speaks of the batch, for SGD or Adam's kin.
        batch_units: Batch at base.
        batch_ratio: Batch over base's.
        critical_batch: Such as `noise_scale(...).value`, in the unit of `batch_units`.

    Returns:
        1 where the rule holds exactly, 1.2 where its rate is 20 % above the best.

    Raises:
        WindtunnelError: The rule says nothing of the batch or is for other optimizers, or a number
            is not above 0.

    >>> round(rate_overshoot("adam-sde", 64, 4, critical_batch=6400), 3)
    1.03
    """
    numbers = {
        "batch_units": batch_units,
        "batch_ratio": batch_ratio,
        "critical_batch": critical_batch,
    }
    for name, number in numbers.items():
        if not (math.isfinite(number) and number > 0):
            raise WindtunnelError(f"{name}: {number:g} is not a positive number")
    rule = load_recipe_rule(rule_name)
    geometries = [geometry for geometry in rule.geometries if geometry in _BEST]
    if "batch" not in rule.powers or not geometries:
        raise WindtunnelError(
            f"rule: of '{rule_name}' no range is known; it says nothing of the batch, or is for "
            "other optimizers than SGD or Adam and its kin"
        )
    best = _BEST[geometries[0]]
    base = batch_units / critical_batch
    grown = batch_ratio ** rule.powers["batch"].get("lr", 0.0)
    return float(grown * best(base) / best(base * batch_ratio))
