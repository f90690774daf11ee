"""How large a vocabulary a model deserves, with its range."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.law import Law
from windtunnel.laws.vocabulary import parametric


def best_vocabulary(law: Law, params: float, flops: float) -> Estimate:
    """Parameters of the vocabulary at which a budget's loss is least, at a fixed body.

    Tao et al. 2024 (2407.13623), approach 3: see `windtunnel.laws.vocabulary.parametric`. Divide
    by the width for the vocabulary's size.

    Args:
        law: Fitted with the form `vocabulary`.
        params: Parameters but for the vocabulary's, N_nv.
        flops: Training budget.

    Returns:
        N_v: one table's parameters. The upper end of the range is infinite where more than 5 %
        of the draws know no best.

    Raises:
        WindtunnelError: The law is of another form, or by itself knows no best.
    """
    form = law.fitted.form
    if form.name != "vocabulary":
        raise WindtunnelError(
            f"vocabulary: the form '{form.name}' does not know the vocabulary's size; fit the form "
            "vocabulary to runs that vary it"
        )

    def drawn(published: Mapping[str, float]) -> float:
        try:
            return parametric(params, flops, published)
        except WindtunnelError:
            return math.inf

    return Estimate.of(
        parametric(params, flops, law.fitted.published()),
        np.array([drawn(published) for published in law.published_draws()]),
        widening=law.spread.widening,
    )
