"""Values so far from the rest that a slip of the pen is sure, and arithmetic is not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.table import RunTable

SIZES = ("params", "tokens", "flops", "unique_tokens", "experts", "vocabulary", "steps")
_FARTHEST = 1e20  # times the middle value; all runs ever trained span less


def refuse_stray(table: RunTable, names: Iterable[str]) -> None:
    """Refuse positive values of these columns that lie absurdly far from their median.

    Raises:
        WindtunnelError: There is one, with its line.
    """
    for name in names:
        values = table.numbers.get(name)
        if values is None:
            continue
        positive = np.flatnonzero(np.isfinite(values) & (values > 0))
        if not positive.size:
            continue
        logs = np.log(values[positive])
        off = np.abs(logs - np.median(logs))
        if off.max() > np.log(_FARTHEST):
            at = positive[off.argmax()]
            raise WindtunnelError(
                f"{table.source}, line {table.lines[at]}: {name} {values[at]:.3g} is more than "
                f"{_FARTHEST:.0e} times off the other rows'; mend it, or leave the row out "
                "with --where"
            )
