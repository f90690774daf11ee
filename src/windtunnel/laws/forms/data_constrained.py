"""Muennighoff et al.'s law of repeated tokens and excess parameters."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.chinchilla import MEAN, RATIO, Chinchilla
from windtunnel.laws.forms.form import Belief, Form, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import share
from windtunnel.laws.solver import Array

_REPEATS = Parameter("log_worth_of_repeats", float(np.log(0.3)), float(np.log(1000.0)))
_EXCESS = Parameter("log_worth_of_excess", float(np.log(0.3)), float(np.log(1000.0)))
_CHINCHILLA = Chinchilla()
_WORTHS = tuple(np.log((5.0, 20.0, 80.0)))
# The C4 fit; half a nat is the size of the paper's own disagreement (R_D* = 2.9 where only data
# decay). A and B of that fit are no beliefs: they hang on the tokenizer and the text.
_WORTH_BELIEFS = (
    Belief(_REPEATS.name, float(np.log(15.39)), 0.5),
    Belief(_EXCESS.name, float(np.log(5.31)), 0.5),
)


class DataConstrained(Form):
    """E + A / N'^alpha + B / D'^beta, with N' and D' what N and D are worth given U unique tokens.

        D' = U_D + U_D R_D* (1 - exp(-R_D / R_D*)),  U_D = min(U, D),  R_D = max(D / U - 1, 0)
        N' = U_N + U_N R_N* (1 - exp(-R_N / R_N*)),  U_N = min(N, N_opt(U)),  R_N = N / U_N - 1

    N_opt(U) = G (G U)^(beta / alpha), G = (alpha A / (beta B))^(1 / (alpha + beta)), is the size
    at which U tokens are compute-optimal. The law is monotone: it cannot show overfitting.
    Published for C4: A = 520.8, B = 1487.7, E = 1.869, alpha = beta = .3527, R_D* = 15.39,
    R_N* = 5.31 (huggingface/datablations, utils/parametric_fit.ipynb; read in that code).

    Coordinates: Chinchilla's five, log R_D* and log R_N*.
    """

    name = "data-constrained"
    formula = "L = E + A / N'^alpha + B / D'^beta, D' and N' saturating in D / U and N / N_opt(U)"
    source = "Muennighoff et al. 2023 (2305.16264), as in huggingface/datablations @ 13701315"
    inputs = ("params", "tokens", "unique_tokens")
    parameters = (share("a"), share("b"), share("e"), MEAN, RATIO, _REPEATS, _EXCESS)
    shared_middles = {"unique_tokens": "tokens"}  # noqa: RUF012
    least_values = {"params": 2, "tokens": 2, "unique_tokens": 2}  # noqa: RUF012
    priors = {  # noqa: RUF012
        name: (*beliefs, *_WORTH_BELIEFS) for name, beliefs in _CHINCHILLA.priors.items()
    }

    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `Form.predict`."""
        a, b, e, mean, ratio, repeats, excess = (parameters[:, place, None] for place in range(7))
        alpha, beta = np.exp(mean + ratio / 2), np.exp(mean - ratio / 2)
        unique = np.minimum(inputs["unique_tokens"], inputs["tokens"])
        # log N_opt(U); the middles of N and of the tokens cancel in it.
        optimal = (ratio + a - b + beta * unique) / alpha
        params, by_optimal, by_excess = _worth(inputs["params"], optimal, excess)
        tokens, _, by_repeats = _worth(inputs["tokens"], unique, repeats)
        logs = np.stack(np.broadcast_arrays(a - alpha * params, b - beta * tokens, e), axis=2)
        total = np.logaddexp.reduce(logs, axis=2)
        shares = np.exp(logs - total[:, :, None])
        first, second = shares[:, :, 0], shares[:, :, 1]
        # d L / d log N_opt, through which a, b and the exponents act on the first term as well.
        bend = -alpha * first * by_optimal
        along, across = -alpha * params * first, -beta * tokens * second
        slopes = [
            first + bend / alpha,
            second - bend / alpha,
            shares[:, :, 2],
            along + across + bend * (beta * unique / alpha - optimal),
            (along - across) / 2 + bend * (1 / alpha - optimal / 2 - beta * unique / (2 * alpha)),
            -beta * second * by_repeats,
            -alpha * first * by_excess,
        ]
        return total, np.stack(slopes, axis=2)

    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """See `Form.starts`: Chinchilla's, with repeats at one of a few worths."""
        unique = np.minimum(inputs["unique_tokens"], inputs["tokens"])
        found = []
        for repeats in _WORTHS:
            tokens = _worth(inputs["tokens"], unique, np.array([[repeats]]))[0][0]
            plain = _CHINCHILLA.starts({**inputs, "tokens": tokens}, observed, weights)
            for excess in _WORTHS:
                worths = np.broadcast_to([repeats, excess], (len(plain), 2))
                found.append(np.concatenate([plain, worths], axis=1))
        return np.concatenate(found)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """Chinchilla's E, A, B, alpha and beta, and R_D*, R_N*."""
        return {
            **_CHINCHILLA.published(parameters[:5], scaling),
            "R_D*": float(np.exp(parameters[5])),
            "R_N*": float(np.exp(parameters[6])),
        }


def _worth(amount: Array, unique: Array, log_most: Array) -> tuple[Array, Array, Array]:
    """Log of what an amount is worth, and its derivatives by log unique and by log R*.

    Args:
        amount: Log of N or D.
        unique: Log of the part at full worth.
        log_most: Log of R*: the repeats that infinitely many are worth.
    """
    over = np.maximum(amount - unique, 0.0)
    repeats = np.expm1(np.minimum(over, 500.0))
    most = np.exp(log_most)
    left = np.exp(-repeats / most)
    worth = 1 + most * (1 - left)
    by_unique = np.where(over > 0, 1 - (repeats + 1) * left / worth, 0.0)
    by_most = (most * (1 - left) - repeats * left) / worth
    return np.minimum(amount, unique) + np.log(worth), by_unique, by_most
