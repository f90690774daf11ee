from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.vocabulary import best_vocabulary
from windtunnel.laws.fitting import FittedForm
from windtunnel.laws.forms.form import Scaling
from windtunnel.laws.forms.vocabulary import Vocabulary
from windtunnel.laws.law import Law, Spread

QUIET = Spread(0.0, 0.0, 1.0, 20, 5.0)


def test_the_best_vocabulary_is_the_papers():
    form = Vocabulary()
    alpha, table = 0.446606, 0.670737
    parameters = np.array(
        [
            np.log(1.83139) + alpha * np.log(1e6),
            np.log(0.195842) + table * np.log(1e6),
            np.log(2.12411) + alpha * np.log(1e9),
            5.53278,
            np.log(alpha),
            np.log(table),
        ]
    )
    fitted = FittedForm(form, Scaling(dict.fromkeys(form.inputs, 0.0), 0.0), parameters, 0.0, 1.0)
    inputs = dict.fromkeys(form.inputs, np.array([1e7, 1e8]))
    law = Law(fitted, parameters[None], "loss", inputs, np.array([-3.0, -4.0]), QUIET, {})
    # Tao et al.: 7e9 parameters of width 4096 at their approach 1's FLOPs for that size.
    flops = (7e9 * np.exp(2.48465)) ** 2
    assert best_vocabulary(law, 7e9, flops).value / 4096 == pytest.approx(59547, rel=0.01)


def test_a_law_of_no_vocabulary_is_refused(noisy):
    with pytest.raises(WindtunnelError, match="fit the form vocabulary to runs that vary it"):
        best_vocabulary(noisy, 7e9, 1e22)
