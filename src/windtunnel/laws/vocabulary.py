"""How large a vocabulary should be: the three approaches of Tao et al. 2024 (2407.13623).

Constants and formulas as in the authors' code, sail-sg/scaling-with-vocab @ 6701cc20 (read there).
Fits on 33e6 to 1.1e9 non-vocabulary parameters and vocabularies of 4e3 to 96e3 on one corpus:
refit `forms.vocabulary` for your own and give it to `parametric`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy import optimize

from windtunnel.errors import WindtunnelError

# Approach 3's fit, in the units of this package: parameters and tokens, not millions and billions.
PUBLISHED: Mapping[str, float] = MappingProxyType(
    {
        "E": 5.53278,
        "A1": 1.83139 * 1e6**0.446606,
        "A2": 0.195842 * 1e6**0.670737,
        "B": 2.12411 * 1e9**0.446606,
        "alpha": 0.446606,
        "alpha_v": 0.670737,
    }
)
_MOST = 2e5  # beyond it the quadratic of tokens per character turns up again


def tokens_per_character(vocabulary: float) -> float:
    """f(V): tokens that one character takes, a quadratic in ln V; V counts up to 2e5."""
    log = np.log(min(vocabulary, _MOST))
    return float(0.00639222 * log**2 - 0.15811069 * log + 1.20470122)


def isoflop(flops: float) -> float:
    """Approach 1: vocabulary parameters at the least loss of a compute budget."""
    return float(np.exp(-1.58903) * flops**0.41636)


def isoflop_flops(params: float) -> float:
    """Approach 1: the budget at which so many non-vocabulary parameters are optimal."""
    return float((params / np.exp(-2.48465)) ** 2)


def derivative(params: float) -> float:
    """Approach 2: vocabulary parameters for so many non-vocabulary ones, as a power law."""
    return float(3145728 * (params / 33e6) ** 0.83540)


def least_flops(params: float, width: float) -> float:
    """Approach 2's idea itself: the V at which reading a text costs the fewest FLOPs.

    FLOPs = 6 (N_nv + V d) H f(V), for a text of H characters.

    Args:
        params: Non-vocabulary parameters.
        width: Parameters a word takes.
    """
    found = optimize.minimize_scalar(
        lambda log: np.log((params + np.exp(log) * width) * tokens_per_character(np.exp(log))),
        bounds=(np.log(256.0), np.log(_MOST)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(found.x))


def parametric(
    params: float, flops: float | None = None, published: Mapping[str, float] = PUBLISHED
) -> float:
    """Approach 3: vocabulary parameters at the least loss for a size and a budget.

    Tokens are what the budget leaves, D = C / (6 (N_nv + N_v)).

    Args:
        params: Non-vocabulary parameters.
        flops: Training FLOPs; by default those at which approach 1 finds `params` optimal.
        published: Of `forms.vocabulary.Vocabulary`; the paper's own by default.

    Raises:
        WindtunnelError: By that law no vocabulary up to 1e6 times `params` is best.
    """
    budget = isoflop_flops(params) if flops is None else flops

    def slope(log_vocabulary: float) -> float:
        """Log of what one more vocabulary parameter gains over what its tokens cost."""
        vocabulary = np.exp(log_vocabulary)
        tokens = budget / (6 * (params + vocabulary))
        gain = published["A2"] * published["alpha_v"] * vocabulary ** (-published["alpha_v"] - 1)
        cost = published["B"] * published["alpha"] * tokens ** -published["alpha"]
        return float(np.log(gain) - np.log(cost / (params + vocabulary)))

    low, high = 0.0, float(np.log(params * 1e6))
    if not slope(low) > 0 > slope(high):
        raise WindtunnelError(
            f"vocabulary: by this law no vocabulary is best for {params:g} parameters and "
            f"{budget:g} FLOPs; fit it on runs with smaller and larger vocabularies"
        )
    return float(np.exp(optimize.brentq(slope, low, high, xtol=1e-12)))
