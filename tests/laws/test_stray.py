from __future__ import annotations

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.stray import SIZES, refuse_stray

COLUMNS = {"params": [1e8, 2e8, 1e10], "tokens": [0.0, 2e9, 9e13], "loss": [3.0, 2.9, 1e-30]}


def test_an_absurd_value_is_named_by_its_line() -> None:
    table = table_from_columns(COLUMNS)
    refuse_stray(table, SIZES)  # 0 tokens are for another rule, and 1e13 is far but no slip
    with pytest.raises(WindtunnelError, match=r"table, line 3: loss 1e-30 is more than 1e\+20"):
        refuse_stray(table, ("loss",))
    with pytest.raises(WindtunnelError, match=r"table, line 1: params 1e-20"):
        refuse_stray(table_from_columns(COLUMNS | {"params": [1e-20, 1e8, 2e8]}), SIZES)
