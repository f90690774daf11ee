"""How large a vocabulary a model deserves."""

from __future__ import annotations

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.least import least
from windtunnel.laws.fitting import predict
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array

_NEEDED = {"params", "vocabulary_params", "tokens"}
_SPAN = np.log(1e4)  # looked for between the body's parameters over 1e4 and those parameters


def best_vocabulary(law: Law, params: float, flops: float) -> Estimate:
    """Parameters of the vocabulary at which a budget's loss is least, at a fixed body.

    Tokens are what the budget leaves: D = C / (6 (N_nv + N_v)) (Tao et al. 2024, 2407.13623,
    approach 3). Divide by the width for the vocabulary's size. That a larger vocabulary cuts the
    same text into fewer tokens is not modelled, so the loss must be one that vocabularies share
    (unigram-normalised), and tokens those of the budget.

    Args:
        law: Fitted with the form `vocabulary`.
        params: Parameters but for the vocabulary's, N_nv.
        flops: Training budget.

    Returns:
        N_v: one table's parameters.

    Raises:
        WindtunnelError: The law is of another form.
    """
    form, scaling = law.fitted.form, law.fitted.scaling
    if set(form.inputs) != _NEEDED:
        raise WindtunnelError(
            f"vocabulary: the form '{form.name}' does not know the vocabulary's size; fit the form "
            "vocabulary to runs that vary it"
        )

    def best(parameters: Array) -> float:
        def loss(logs: Array) -> Array:
            table = np.exp(logs).ravel()
            inputs = {
                "params": np.full(table.size, params),
                "vocabulary_params": table,
                "tokens": flops / (6 * (params + table)),
            }
            return np.asarray(predict(form, scaling, parameters[None], inputs).reshape(logs.shape))

        top = np.log([params])
        return float(np.exp(least(loss, top - _SPAN, top)[0]))

    drawn = np.array([best(draw) for draw in law.draws[:200]])
    return Estimate.of(best(law.fitted.parameters), drawn, widening=law.spread.widening)
