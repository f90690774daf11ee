"""Which sizes of a transformers config follow its width, and at which widths they are whole."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

from windtunnel.errors import WindtunnelError

Heads = Literal["growing", "fixed"]
KeyValueHeads = Literal["proportional", "fixed"]

# Sizes that follow width, where a config has them.
_WIDTHS = ("hidden_size", "intermediate_size", "moe_intermediate_size", "n_inner")


def sizes_at(
    config: Any, width: int, *, heads: Heads, key_value_heads: KeyValueHeads
) -> dict[str, int]:
    """The config's fields that follow width, at this one.

    Args:
        config: Of transformers; its own `hidden_size` sets the proportions.
        width: The wanted `hidden_size`.
        heads: Whether the number of heads follows width, or the size of each.
        key_value_heads: Whether their number follows that of the heads, where that grows.

    Raises:
        WindtunnelError: They aren't whole, or attention can't be computed with them; the message
            says why and which widths work.
    """
    own = config.hidden_size
    names = [*_WIDTHS, "head_dim"] if heads == "fixed" else [*_WIDTHS, "num_attention_heads"]
    if heads == "growing" and key_value_heads == "proportional":
        names += ["num_key_value_heads"]
    found = {name: getattr(config, name, None) for name in names}
    sizes = {name: size for name, size in found.items() if size is not None}
    whole = [(f"whole {name}", Fraction(size, own)) for name, size in sizes.items()]
    whole += _whole_attention(config, heads, key_value_heads)
    step = math.lcm(*(share.denominator for _, share in whole))
    if width < 1 or width % step:
        missing = next((what for what, share in whole if width % share.denominator), whole[0][0])
        below = max(1, width // step) * step
        raise WindtunnelError(
            f"scale.width: {width} gives no {missing} in the proportions of {own}; use a multiple "
            f"of {step}, such as {below} or {below + step}"
        )
    return {name: size * width // own for name, size in sizes.items()}


def _whole_attention(
    config: Any, heads: Heads, key_value_heads: KeyValueHeads
) -> list[tuple[str, Fraction]]:
    """What must be whole beside the sizes themselves, as shares of the width."""
    own, count = config.hidden_size, config.num_attention_heads
    shared = getattr(config, "num_key_value_heads", None)
    if heads == "growing":
        if shared is None or key_value_heads == "proportional":
            return []
        what = f"whole number of heads for each of the {shared} key and value heads"
        return [(what, Fraction(count, own * shared))]
    size = Fraction(getattr(config, "head_dim", None) or Fraction(own, count), own)
    if getattr(config, "rope_parameters", None) is None:
        return [("whole head size", size)]
    return [("even head size (rotary positions turn pairs)", size / 2)]
