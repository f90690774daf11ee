"""The ways down: how a decay goes from 1 to its final share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.phases import checked_share


def _linear(left: float) -> float:
    return left


def _cosine(left: float) -> float:
    return math.sin(math.pi * left / 2) ** 2


def _mirror_cosine(left: float) -> float:
    return 2 * left - _cosine(left)


def _one_minus_root(left: float) -> float:
    return left / (1 + math.sqrt(1 - left))  # 1 - sqrt(1 - left) without its cancellation


def _square(left: float) -> float:
    return left * (2 - left)


def _half_exponential(left: float) -> float:
    return math.expm1(left * math.log(2))


# From the share of the decay that is left, 1 to 0, to the height above the final share, 1 to 0.
_SHAPES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "linear": _linear,
        "cosine": _cosine,
        "1-sqrt": _one_minus_root,
        "square": _square,
        "mirror-cosine": _mirror_cosine,
        "half-exponential": _half_exponential,
    }
)
EXPONENTIAL = "exponential"
SHAPES = (*_SHAPES, EXPONENTIAL)


def decayed(shape: str, left: float, final: float) -> float:
    """Height of a decay of which a share is left.

    With `r = 1 - left` and the final share `z` the shapes are `z + (1 - z) * f(r)` with `f` equal
    to `1 - r` (linear), `(1 + cos(pi r)) / 2` (cosine), `1 - sqrt(r)` (1-sqrt), `1 - r^2` (square),
    twice linear less cosine (mirror-cosine), as in the code of Hagele et al. 2024 (arXiv
    2405.18392), and `2 * 0.5^r - 1` (half-exponential: Megatron-LM's `exponential`). `exponential`
    is `z^r`, as in Hagele et al.; so it needs a final share above 0.

    Args:
        shape: One of `SHAPES`.
        left: Share of the decay that is left, 1 on its first step.
        final: Where the decay ends one step after its last, as a share of the peak.

    Returns:
        1 where all is left, `final` where nothing is.

    Raises:
        WindtunnelError: There is no such shape, or it can't end at that share.

    >>> [round(decayed(shape, 0.75, 0), 4) for shape in ("linear", "cosine", "1-sqrt", "square")]
    [0.75, 0.8536, 0.5, 0.9375]
    >>> decayed("exponential", 0.5, 0.01)
    0.1
    """
    final = checked_share("final", final)
    if shape == EXPONENTIAL:
        if final == 0:
            raise WindtunnelError(
                "recipe.schedule_settings.final: an exponential never reaches 0; give a share "
                "such as 0.01, or take the shape 'half-exponential'."
            )
        return float(final ** (1 - left))
    if shape not in _SHAPES:
        raise WindtunnelError(
            f"recipe.schedule_settings.shape: no '{shape}'; choose from {', '.join(SHAPES)}."
        )
    return final + (1 - final) * _SHAPES[shape](left)
