"""What infinitely large ensembles of infinitely large models would reach on fixed data.

Kim et al. 2025, Pre-training under infinite compute; the two-step limit and the units as in the
authors' plotting code, marin-community/marin @ cc253d0c (read there). There: sizes .15e9 to
1.4e9, 1 to 5 members, and 4 points for 3 unknowns, so give the limit only with a range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fitting import FittedForm, fit_form
from windtunnel.laws.forms.power import PowerMembers, PowerParams
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array

_LEAST = 3  # distinct values for three unknowns


@dataclass(frozen=True, slots=True)
class EnsembleLimit:
    """The two steps.

    Attributes:
        members: For each size the law of the loss in members; its E is that size's asymptote.
        sizes: The law of those asymptotes in parameters.
        loss: Its E: the joint limit.
    """

    members: dict[float, FittedForm]
    sizes: FittedForm
    loss: float


def ensemble_limit(params: Array, members: Array, loss: Array) -> EnsembleLimit:
    """First members to infinity at each size, then the size of a member.

    Tune a member for the ensemble, not alone: the paper found twice the epochs and half the
    weight decay of the best single model best.

    Args:
        params: (n,) parameters of one member.
        members: (n,) members of the ensemble.
        loss: (n,) the ensemble's loss.

    Raises:
        WindtunnelError: Fewer than three sizes, or a size with fewer than three ensembles.
    """
    sizes = np.unique(params)
    if sizes.size < _LEAST:
        raise WindtunnelError(
            f"ensemble: {sizes.size} sizes of members and {_LEAST} needed; train ensembles of "
            "another size"
        )
    fits = {}
    for size in sizes:
        own = params == size
        count = np.unique(members[own]).size
        if count < _LEAST:
            raise WindtunnelError(
                f"ensemble: {count} numbers of members at {size:g} parameters and {_LEAST} needed; "
                "add members (averaging any of those trained gives the smaller ensembles)"
            )
        fits[float(size)] = fit_form(Rows.of(PowerMembers(), {"members": members[own]}, loss[own]))
    floors = np.array([fit.published()["E"] for fit in fits.values()])
    limit = fit_form(Rows.of(PowerParams(), {"params": sizes}, floors))
    return EnsembleLimit(fits, limit, limit.published()["E"])
