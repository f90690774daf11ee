"""What training costs in FLOPs."""

from __future__ import annotations

from collections.abc import Callable

from windtunnel.laws.solver import Array

# Parameters to the FLOPs that training spends on one token.
FlopsPerToken = Callable[[Array], Array]


def six_per_parameter(params: Array) -> Array:
    """6 FLOPs a parameter and token: 2 forward and 4 backward (Kaplan et al. 2020, section 2.1).

    Attention's own share, which grows with the context's length, is not in it.
    """
    return 6.0 * params
