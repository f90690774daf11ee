"""How well a law fitted to the smaller scales foretells the largest ones that were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.laws.chinchilla import Design, ExponentPrior, log_loss, refit
from windtunnel.laws.points import LawData
from windtunnel.laws.solver import Array

_HELD_OUT_SHARE = 0.15  # at least this share of the points, and at least the largest scale

_FORM_ERROR_PER_NAT = 0.004


@dataclass(frozen=True, slots=True)
class BackTest:
    """One fit without the largest scales, and what it said of them.

    Attributes:
        held_out: `params`, `units` or `both`: the axis whose largest values were left out.
        error: Mean log loss foretold minus measured, over the points left out, by their weights.
        expected: Standard deviation of that error if the law were exact: fit and run noise.
        distance: Mean log distance (see `distance`) of the points left out.
        points: How many were left out and foretold.
    """

    held_out: str
    error: float
    expected: float
    distance: float
    points: int

    def to_json(self) -> dict[str, Any]:
        """The back-test as plain JSON values, errors in percent."""
        return {
            "held_out": self.held_out,
            "error_percent": 100 * math.expm1(self.error),
            "expected_percent": 100 * self.expected,
            "distance": self.distance,
            "points": self.points,
        }


def back_tests(
    data: LawData,
    simulated: Array,
    noise: float,
    *,
    prior: ExponentPrior,
    prior_centres: Array,
    delta: float,
) -> list[BackTest]:
    """Leave out the largest sizes, the longest runs, then both, and foretell them.

    Args:
        data: All points.
        simulated: (sets, n) log losses (minus the design's middle) drawn around the fitted law:
            refitting them without the held-out points tells what error chance alone makes.
        noise: Standard deviation of the log residual of a point of weight 1.
        prior: Belief about the exponents.
        prior_centres: (sets, 2) centres for the simulated sets.
        delta: Huber's delta.

    Returns:
        Up to three back-tests; fewer where too little would be left to fit.
    """
    design = Design.of(data)
    observed = np.log(data.loss) - design.middle[2]
    small, short = (_below_largest(values) for values in (data.params, data.units))
    cases = {
        "params": (small, ~small),
        "units": (short, ~short),
        "both": (small & short, ~small & ~short),
    }
    chosen = {
        name: (kept, out)
        for name, (kept, out) in cases.items()
        if out.any() and _enough(data, kept)
    }
    centres = np.concatenate([np.full((1, 2), np.log(prior.centre)), prior_centres])
    results = []
    for name, (kept, out) in chosen.items():
        parameters = refit(
            design,
            np.concatenate([observed[None], simulated]),
            delta=delta,
            weights=np.broadcast_to(kept * data.weight, (len(simulated) + 1, len(data))),
            prior=prior,
            prior_centres=centres,
            noise=noise,
        )
        foretold = log_loss(parameters, design.log_params[out], design.log_units[out])[0]
        share = data.weight[out] / data.weight[out].sum()
        means = foretold @ share
        far = [
            distance(data.keep(kept), params, units)
            for params, units in zip(data.params[out], data.units[out], strict=True)
        ]
        results.append(
            BackTest(
                held_out=name,
                error=float(means[0] - share @ observed[out]),
                expected=float(
                    np.hypot(
                        np.sqrt(np.mean((means[1:] - means[0]) ** 2)),
                        noise / np.sqrt(data.weight[out].sum()),
                    )
                ),
                distance=float(share @ far),
                points=int(out.sum()),
            )
        )
    return results


def distance(data: LawData, params: float, units: float) -> float:
    """How far a point lies beyond measured ones, in nats.

    The log ratios to the largest size and to the longest run added, or the log ratio of
    params x units to its largest value, whichever is more: 0 inside the data.
    """
    beyond = sum(
        max(0.0, math.log(value / float(values.max())))
        for value, values in ((params, data.params), (units, data.units))
    )
    compute = math.log(params * units / float((data.params * data.units).max()))
    return max(beyond, compute)


def form_error(tests: Sequence[BackTest], nats: float) -> float:
    """Standard deviation of log loss that the law's own form adds at a distance.

    Errors of a wrong form grow about in proportion to the log extrapolated, so what the
    back-tests missed beyond chance is taken per nat. To it comes what laws miss even where no
    back-test shows it: 0.4 % a nat, as on the Chinchilla points and Gemstones.

    Args:
        tests: Back-tests of the same law on the same data.
        nats: Distance of the target.
    """
    apart = [test for test in tests if test.distance > 0]
    excess = np.mean([(t.error**2 - t.expected**2) / t.distance**2 for t in apart] or [0.0])
    return nats * math.sqrt(max(0.0, float(excess)) + _FORM_ERROR_PER_NAT**2)


def _below_largest(values: Array) -> np.ndarray:
    """True below the largest value, or below as many of them as hold the share to leave out."""
    levels = np.unique(values)[::-1]
    shares = np.array([(values >= level).mean() for level in levels])
    return np.asarray(values < levels[np.argmax(shares >= _HELD_OUT_SHARE)])


def _enough(data: LawData, kept: np.ndarray) -> bool:
    sizes, lengths = np.unique(data.params[kept]).size, np.unique(data.units[kept]).size
    return bool(kept.sum() >= 4 and sizes >= 2 and lengths >= 2)
