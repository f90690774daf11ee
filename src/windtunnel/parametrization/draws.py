"""Recognise how a factory draws a parameter, from a few draws, and draw alike at another shape."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from windtunnel.parametrization.strays import strays

Law = Literal["constant", "uniform", "truncated normal", "normal"]
Values = NDArray[np.float64]

# Where truncated normals are cut, in standard deviations before the cut: 2 as in JAX, timm and
# torch's own default limits, 3 as in OLMo and TorchTitan.
_CUTS = (2.0, 3.0)
# A draw is told from a law when its Kolmogorov distance exceeds what chance exceeds once in ten
# million draws (2.9 / sqrt(n); a large model has thousands), and also a distance that no training
# would notice.
_KOLMOGOROV, _UNNOTICED = 2.9, 0.005


@dataclass(frozen=True, slots=True)
class Draw:
    """How a parameter is drawn.

    Attributes:
        law: The family of distributions.
        value: Standard deviation about zero; for `constant` the value itself.
        cut: Where a truncated normal is cut, in units of `value`.
    """

    law: Law
    value: float
    cut: float = math.inf

    def sample(self, shape: Sequence[int], factor: float, seed: int, name: str) -> Tensor:
        """Draw a whole parameter, scaled by `factor`, in float32 on the CPU.

        The numbers depend on seed, name and shape alone, so that models of other depths, and
        parts of a model, agree.
        """
        size = self.value * factor
        if self.law == "constant":
            return torch.full(tuple(shape), size)
        generator = torch.Generator().manual_seed(seed_of(seed, name))
        sample = torch.empty(tuple(shape))
        if self.law == "uniform":
            return sample.uniform_(-math.sqrt(3) * size, math.sqrt(3) * size, generator=generator)
        if self.law == "truncated normal":
            before = size / _std_after(_ratio_to_cut(self.cut))
            edge = self.cut * size
            return torch.nn.init.trunc_normal_(sample, 0.0, before, -edge, edge, generator)
        return sample.normal_(0.0, size, generator=generator)


def seed_of(seed: int, name: str) -> int:
    """A parameter's own seed: 63 bits of the SHA-256 of seed and name."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def recognise(draws: Sequence[Tensor]) -> Draw | str:
    """Find out how independent draws of one parameter were made.

    Args:
        draws: The parameter in models that were built from different seeds.

    Returns:
        The draw, or what speaks against any: it is not random, or follows no known law.
    """
    values = [draw.detach().cpu().double().numpy() for draw in draws]
    if all(np.array_equal(values[0], other) for other in values[1:]):
        return _constant(values[0])
    if len(values[0].shape) > 1 and _is_orthogonal(values[0]):
        return "its rows or columns are orthogonal"
    pooled = np.concatenate([value.ravel() for value in values])
    pooled = pooled[~strays(pooled)]
    spread = float(np.sqrt(np.mean(pooled**2)))
    if abs(pooled.mean()) > 4 * pooled.std() / math.sqrt(pooled.size):
        return f"its values are random about {pooled.mean():.3g} and not about zero"
    return _closest_law(np.sort(pooled) / spread, spread)


def _constant(value: Values) -> Draw | str:
    first = float(value.flat[0])
    if not (value == first).all():
        return "it is the same in every build, so it is computed and not drawn"
    if first != 0.0 and sum(size > 1 for size in value.shape) > 1:
        return f"every entry is {first:g}"
    return Draw("constant", first)


def _is_orthogonal(value: Values) -> bool:
    """Whether rows (or columns, if there are fewer) are orthogonal to rounding."""
    matrix = value.reshape(value.shape[0], -1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    if matrix.shape[0] < 2:
        return False
    gram = matrix @ matrix.T
    off = np.abs(gram - np.diag(np.diag(gram))).max()
    return bool(off < 1e-5 * np.diag(gram).mean())


def _closest_law(standardised: Values, spread: float) -> Draw | str:
    """The law with the smallest Kolmogorov distance, if that is small enough."""
    largest = float(np.abs(standardised).max())
    laws: dict[Draw, Callable[[Values], Values]] = {
        Draw("normal", spread): _normal,
        Draw("uniform", spread): lambda x: np.clip(0.5 + x / math.sqrt(12), 0.0, 1.0),
    }
    for cut in _CUTS:
        after = _std_after(cut)
        if largest <= cut / after * 1.01:
            laws[Draw("truncated normal", spread, cut / after)] = _cut_normal(cut)
    distances = {draw: _distance(standardised, cdf) for draw, cdf in laws.items()}
    best = min(distances, key=lambda draw: distances[draw])
    if distances[best] > max(_KOLMOGOROV / math.sqrt(standardised.size), _UNNOTICED):
        return "its values are not uniform, normal or truncated normal"
    return best


def _distance(sorted_values: Values, cdf: Callable[[Values], Values]) -> float:
    """Kolmogorov's: the largest gap between the empirical distribution and a law's."""
    expected = cdf(sorted_values)
    ranks = np.arange(sorted_values.size + 1) / sorted_values.size
    return float(max((ranks[1:] - expected).max(), (expected - ranks[:-1]).max()))


def _normal(standardised: Values) -> Values:
    """Distribution function of the standard normal."""
    below: Values = special.ndtr(standardised)
    return below


def _cut_normal(cut: float) -> Callable[[Values], Values]:
    """Distribution function of a normal that is cut, then scaled to a standard deviation of one."""
    after, outside = _std_after(cut), float(special.ndtr(-cut))
    return lambda x: np.clip((_normal(x * after) - outside) / (1 - 2 * outside), 0.0, 1.0)


def _std_after(cut: float) -> float:
    """Standard deviation of a standard normal cut at plus and minus `cut`."""
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * cut * density / math.erf(cut / math.sqrt(2)))


def _ratio_to_cut(ratio: float) -> float:
    """The known cut whose distance over standard deviation, after cutting, is `ratio`."""
    return min(_CUTS, key=lambda cut: abs(cut / _std_after(cut) - ratio))
