from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.published_hyperparameters import PUBLISHED_LAWS

LAWS = {law.name: law for law in PUBLISHED_LAWS}


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        # By hand, or as the sources state them.
        ("step-law-lr", {"params": 1e9, "tokens": 1e11}, 1.633e-3),
        ("step-law-batch", {"tokens": 1e11}, 1.11e6),
        ("step-law-refit-lr", {"params": 1e9, "tokens": 1e11}, 1.46e-3),
        ("step-law-refit-batch", {"params": 1e9, "tokens": 1e11}, 8.97e5),
        ("power-lr", {"batch_sequences": 1024, "tokens": 1e13}, 0.0011 * 4 / 4.6),
        ("power-lr", {"batch_sequences": 1024, "tokens": 1e9}, 0.02),
        ("olmo-lr", {"params": 1.08e8}, 0.00235),
        ("olmo-batch", {"params": 8 * 1.08e8}, 4 * 2048 * 160),
        ("minicpm-batch", {"loss": 3.0}, 1.27e6),
        ("kaplan-batch", {"loss": 2.0}, 7.37e6),
    ],
)
def test_values(name, inputs, expected) -> None:
    arrays = {key: np.array([value]) for key, value in inputs.items()}
    assert LAWS[name](arrays)[0] == pytest.approx(expected, rel=0.01)


def test_outside_names_what_the_law_was_not_fitted_on() -> None:
    law = LAWS["step-law-lr"]
    assert law.outside({"params": 7e9, "tokens": 50e9}) == ("params",)
    assert law.outside({"params": 1e9, "tokens": 50e9}) == ()


def test_a_missing_input_is_named() -> None:
    with pytest.raises(WindtunnelError, match="minicpm-batch: it needs loss; loss is missing"):
        LAWS["minicpm-batch"]({"params": np.array([1e9])})
