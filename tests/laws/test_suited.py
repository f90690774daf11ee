from __future__ import annotations

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.forms import form_named
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.suited import suited_forms, untested_form

SIZES, LENGTHS = [1e8, 2e8, 4e8, 8e8], [2e9, 3e9, 4e9, 8e9]
LOSS = {"loss": [3.4, 3.2, 3.0, 2.8]}


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"params": SIZES, "tokens": LENGTHS}, ["chinchilla", "coupled"]),
        ({"params": SIZES, "tokens": [2e9] * 4}, ["power-params"]),
        ({"params": [1e8] * 4, "tokens": LENGTHS}, ["power-tokens"]),
        ({"flops": [1e18, 2e18, 4e18, 8e18]}, ["power-compute"]),
        ({"steps": [100, 200, 400, 800]}, ["curve-power", "curve-exponential"]),
        ({"params": SIZES, "tokens": LENGTHS, "experts": [1, 2, 4, 8]}, ["routed"]),
        (
            {"params": SIZES, "tokens": LENGTHS, "unique_tokens": [1e9, 1e9, 2e9, 2e9]},
            ["chinchilla", "data-constrained"],
        ),
        (
            {"params": SIZES, "tokens": LENGTHS, "unique_tokens": [1e9] * 4},
            ["chinchilla", "coupled"],
        ),
    ],
)
def test_forms_by_what_varies(columns: dict, names: list[str]) -> None:
    assert [form.name for form in suited_forms(table_from_columns(columns | LOSS))] == names


def test_nothing_that_varies_and_a_metric_of_another_kind_are_refused() -> None:
    with pytest.raises(WindtunnelError, match="all absent or the same in every row"):
        suited_forms(table_from_columns({"params": [1e8] * 4, "tokens": [2e9] * 4} | LOSS))
    with pytest.raises(WindtunnelError, match="of the kind 'accuracy'"):
        suited_forms(
            table_from_columns(
                {"params": SIZES, "tokens": LENGTHS, "accuracy": [0.2, 0.3, 0.4, 0.5]}
            )
        )


def test_a_plainer_form_stands_in_where_nothing_can_be_tested() -> None:
    assert untested_form(form_named("chinchilla")).name == "over-training"
    assert untested_form(form_named("coupled")).name == "coupled"
