"""Tao et al.'s law of the vocabulary's size (their approach 3)."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.form import Form, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import coefficients
from windtunnel.laws.solver import Array

# Terms are compared with the middle of a loss that is a difference of large ones.
_LEAST, _MOST = float(np.log(1e-4)), float(np.log(100.0))
_BODY = Parameter("log_exponent", float(np.log(0.05)), float(np.log(2.0)), decisive=True)
_VOCABULARY = Parameter(
    "log_vocabulary_exponent", float(np.log(0.05)), float(np.log(3.0)), decisive=True
)
_BODIES, _VOCABULARIES = np.log(np.geomspace(0.1, 1.2, 10)), np.log(np.geomspace(0.1, 2.0, 8))


class Vocabulary(Form):
    """-E + A1 / N_nv^alpha + A2 / N_v^alpha_v + B / D^alpha.

    N_nv are the parameters without the vocabulary's, N_v = V d those of one table, D training
    tokens (the paper writes characters, its code converts them to tokens). The metric is the
    unigram-normalised loss, -mean ln[p(w | context) / p_unigram(w)]: negative, comparable between
    vocabularies. Plain losses in nats a token are not.
    Published: A1 = 1.831, A2 = .1958, B = 2.124, E = 5.533, alpha = .4466, alpha_v = .6707, with
    N_nv and N_v in 1e6 and D in 1e9; N_nv and D share their exponent in the published fit
    (sail-sg/scaling-with-vocab, optimal_Nv_predict.py; read in that code).

    Coordinates: logs of the three terms and E itself, as multiples of the size of the middle
    loss; log alpha and log alpha_v.
    """

    name = "vocabulary"
    formula = "L_u = -E + A1 / N_nv^alpha + A2 / N_v^alpha_v + B / D^alpha"
    source = "Tao et al. 2024 (2407.13623), approach 3, as in sail-sg/scaling-with-vocab"
    inputs = ("params", "vocabulary_params", "tokens")
    metrics = ("normalised loss",)
    space = "linear"
    parameters = (
        Parameter("a1", _LEAST, _MOST),
        Parameter("a2", _LEAST, _MOST),
        Parameter("b", _LEAST, _MOST),
        Parameter("E", 0.0, 100.0),
        _BODY,
        _VOCABULARY,
    )
    least_values = {"params": 2, "vocabulary_params": 3, "tokens": 2}  # noqa: RUF012

    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `Form.predict`."""
        powers = _powers(parameters[:, 4, None], parameters[:, 5, None], inputs)
        terms = np.exp(parameters[:, None, :3] + powers)
        moved = terms * powers
        slopes = np.concatenate(
            [
                terms,
                np.full_like(terms[:, :, :1], -1.0),
                moved[:, :, :1] + moved[:, :, 2:],
                moved[:, :, 1:2],
            ],
            axis=2,
        )
        return terms.sum(axis=2) - parameters[:, 3, None], slopes

    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """See `Form.starts`: for fixed exponents the loss is linear in the rest."""
        body, vocabulary = (part.reshape(-1, 1) for part in np.meshgrid(_BODIES, _VOCABULARIES))
        basis = np.exp(_powers(body, vocabulary, inputs))
        basis = np.concatenate([basis, np.full_like(basis[:, :, :1], -1.0)], axis=2)
        solved = coefficients(basis, observed, weights)
        solved[:, :3] = np.log(np.maximum(solved[:, :3], 1e-3))
        return np.concatenate([solved, body, vocabulary], axis=1)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, A1, A2, B, alpha and alpha_v."""
        a1, a2, b, e, body, vocabulary = (float(value) for value in parameters)
        alpha, alpha_v = float(np.exp(body)), float(np.exp(vocabulary))
        middle = scaling.inputs
        return {
            "E": e * float(np.exp(scaling.metric)),
            "A1": float(np.exp(a1 + alpha * middle["params"] + scaling.metric)),
            "A2": float(np.exp(a2 + alpha_v * middle["vocabulary_params"] + scaling.metric)),
            "B": float(np.exp(b + alpha * middle["tokens"] + scaling.metric)),
            "alpha": alpha,
            "alpha_v": alpha_v,
        }


def _powers(body: Array, vocabulary: Array, inputs: Inputs) -> Array:
    """(problems, n, 3) logs of the three terms at coefficients of 1."""
    logs = [
        -np.exp(body) * inputs["params"],
        -np.exp(vocabulary) * inputs["vocabulary_params"],
        -np.exp(body) * inputs["tokens"],
    ]
    return np.stack(logs, axis=2)
