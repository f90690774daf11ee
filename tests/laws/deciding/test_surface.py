from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.allocation import allocate
from windtunnel.laws.deciding.surface import surface_of
from windtunnel.laws.fitting import FittedForm
from windtunnel.laws.forms.data_constrained import DataConstrained
from windtunnel.laws.forms.form import Scaling
from windtunnel.laws.law import Law, Spread

QUIET = Spread(0.0, 0.0, 1.0, 20, 5.0)


def test_the_surface_is_the_law(noisy):
    surface = surface_of(noisy)
    params, tokens = np.array([[1e8, 1e9]]), np.array([[1e10], [1e11]])
    found = surface.best(params, tokens)
    assert found.shape == (2, 2)
    assert found[1, 0] == noisy({"params": np.array([1e8]), "tokens": np.array([1e11])})[0]
    drawn = noisy.drawn({"params": np.array([1e8]), "tokens": np.array([1e11])})
    assert surface.drawn[3](params, tokens)[1, 0] == pytest.approx(drawn[3, 0], rel=1e-12)


def test_a_form_of_other_inputs_is_refused(noisy):
    form = type("PowerOfTokens", (type(noisy.fitted.form),), {"inputs": ("tokens",), "name": "p"})()
    law = dataclasses.replace(noisy, fitted=dataclasses.replace(noisy.fitted, form=form))
    with pytest.raises(WindtunnelError, match="the form 'p' has no params"):
        surface_of(law)


def repeated_tokens() -> Law:
    """Muennighoff et al.'s law for C4, without any doubt."""
    form = DataConstrained()
    exponent = 0.3526596
    parameters = np.array(
        [
            6.255414,
            7.3049974,
            0.6254804,
            np.log(exponent),
            0.0,
            np.log(15.387756),
            np.log(5.309743),
        ]
    )
    scaling = Scaling(dict.fromkeys(form.inputs, 0.0), 0.0)
    inputs = {
        "params": np.array([1e8, 1e10]),
        "tokens": np.array([1e8, 1e12]),
        "unique_tokens": np.array([1e8, 1e11]),
    }
    fitted = FittedForm(form, scaling, parameters, 0.0, 1.0)
    return Law(fitted, parameters[None], "loss", inputs, np.array([4.0, 2.0]), QUIET, {})


def test_repeated_tokens_are_worth_less():
    law = repeated_tokens()
    value = surface_of(law, {"unique_tokens": 25e9}).best(np.array([6.34e9]), np.array([242e9]))
    assert value[0] == pytest.approx(2.22564, abs=1e-4)
    with pytest.raises(WindtunnelError, match="also needs unique_tokens; give a value"):
        allocate(law, 1e22)
    plenty = allocate(law, 1e22, fixed={"unique_tokens": 1e15})
    scarce = allocate(law, 1e22, fixed={"unique_tokens": 5e9})
    # With equal exponents G (C / 6)^(1/2), G = (A / B)^(1 / (2 alpha)).
    g = np.exp((6.255414 - 7.3049974) / (2 * 0.3526596))
    assert plenty.params.value == pytest.approx(g * np.sqrt(1e22 / 6), rel=1e-4)
    assert scarce.loss > plenty.loss
    sizes = np.geomspace(1e8, 1e12, 4001)
    brute = surface_of(law, {"unique_tokens": 5e9}).best(sizes, 1e22 / 6 / sizes)
    assert scarce.loss == pytest.approx(brute.min(), abs=1e-6)
