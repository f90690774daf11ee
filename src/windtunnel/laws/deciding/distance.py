"""How far points lie beyond measured ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.laws.solver import Array


def distance(measured: Mapping[str, Array], at: Mapping[str, Array]) -> Array:
    """Nats beyond the rows: 0 inside.

    The log ratios to the greatest value of every input added, or the log ratio of the inputs'
    product to its greatest value, whichever is more.

    Args:
        measured: (m,) values of each input.
        at: (n,) values of each of them.
    """
    beyond = sum(
        np.maximum(0.0, np.log(at[name] / values.max())) for name, values in measured.items()
    )
    product = np.prod([at[name] for name in measured], axis=0)
    compute = np.log(product / np.prod(list(measured.values()), axis=0).max())
    farther: Array = np.maximum(beyond, compute)
    return farther
