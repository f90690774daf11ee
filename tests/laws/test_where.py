"""Rows chosen by comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.table import RunTable
from windtunnel.laws.where import parse_where, rows_where


@pytest.fixture(scope="module")
def table() -> RunTable:
    return table_from_columns(
        {
            "size (M)": [100, 200, 400, 800],
            "tokens": [2e9, 4e9, None, 16e9],
            "C4 loss": [3.5, 3.2, 3.0, float("nan")],
            "data mix": ["c4", "c4", "pile and c4", "pile"],
        },
        columns={"params": "size (M)"},
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("loss<3.3", [1, 2]),
        ("loss <= 3.2", [1, 2]),
        ("params>=0.2B", [1, 2, 3]),
        ("params=200M", [1]),
        ("params == 200M,tokens==4B", [1]),
        ("params!=2e8", [0, 2, 3]),
        ("tokens>1e9", [0, 1, 3]),
        ("tokens!=2e9", [1, 2, 3]),
        ("data mix==c4", [0, 1]),
        ("data mix == 'c4'", [0, 1]),
        ('"data mix" != c4', [2, 3]),
        ('"data mix"=="pile and c4"', [2]),
        ("`C4 loss`<3.3 and data mix==c4", [1]),
        ("loss<3.3 AND params>1e8 && params<300M", [1]),
        ("params>=1e8, loss>3.1", [0, 1]),
        ('params=="200,000,000"', [1]),
    ],
)
def test_rows(table: RunTable, text: str, rows: list[int]) -> None:
    assert np.flatnonzero(rows_where(table, text)).tolist() == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "position 1: a column's name is missing"),
        ("loss", "position 5: after 'loss' comes one of"),
        ("loss<", "position 6: a value is missing after 'loss <'"),
        ("<3", "position 1: a column's name is missing"),
        ("loss<3 and", "a column's name is missing"),
        ("loss<3 or params>1", "the value cannot be read; join comparisons by 'and'"),
        ("1<loss<3", "position 3: the value cannot be read"),
        ("loss<'3", "the value cannot be read"),
        ("lost<3", "column 'lost' is not there; there are "),
        ("loss<low", "column 'loss' holds numbers, and 'low' is not a number"),
        ("loss<3 and data mix<c4", "position 12: column 'data mix' holds texts"),
        ("data mix==c5", "never is 'c5'; it holds 'c4', 'pile and c4', 'pile'"),
        ("size (M)>100", "call it params"),
        ("loss<1", "none of the 4 rows has loss<1"),
    ],
)
def test_what_cannot_be_read(table: RunTable, text: str, words: str) -> None:
    with pytest.raises(WindtunnelError) as raised:
        rows_where(table, text)
    assert words in str(raised.value)


@given(st.text("loss<>=!andAND,&3.4'\"` mixc4", max_size=30) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse_where(text)
    except WindtunnelError as error:
        assert "--where" in str(error)
