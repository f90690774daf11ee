"""Tables in memory."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading import table_from_arrow, table_from_columns

COLUMNS: dict[str, list[Any]] = {
    "N": [100_000_000, 200_000_000, None],
    "tokens": [2e9, None, 8e9],
    "loss": [3.5, float("nan"), 3.0],
    "mix": ["c4", None, "pile"],
    "tied": [True, False, None],
}


def test_plain_columns() -> None:
    table = table_from_columns(COLUMNS, where="loss<4")
    assert table.source == "table"
    assert table.lines.tolist() == [1, 3]
    np.testing.assert_array_equal(table.numbers["params"], [1e8, np.nan])
    assert table.labels == {"mix": ("c4", "pile"), "tied": ("true", "")}


def test_arrays_of_any_dtype() -> None:
    table = table_from_columns(
        {
            "params": np.array([100, 200], dtype=np.int32),
            "tokens": np.array(["2B", "4B"]),
            "loss": np.array([3.5, 3.2], dtype=np.float32),
        },
        columns={"params": "params (M)"},
    )
    assert table.numbers["params"].tolist() == [1e8, 2e8]
    assert table.numbers["tokens"].tolist() == [2e9, 4e9]
    assert table.loss.tolist() == [3.5, float(np.float32(3.2))]


def test_arrow_tables() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    types = {
        "N": [pyarrow.int64(), pyarrow.int32(), pyarrow.uint64()],
        "tokens": [pyarrow.float64(), pyarrow.decimal128(20, 2)],
        "loss": [pyarrow.float64(), pyarrow.float32()],
        "mix": [pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()],
        "tied": [pyarrow.bool_()],
    }
    expected = table_from_columns(COLUMNS)
    for name, candidates in types.items():
        for kind in candidates:
            whole = pyarrow.table({**COLUMNS, name: pyarrow.array(COLUMNS[name]).cast(kind)})
            table = table_from_arrow(pyarrow.concat_tables([whole.slice(0, 1), whole.slice(1)]))
            for column, values in expected.numbers.items():
                np.testing.assert_array_equal(table.numbers[column], values)
            assert table.labels == expected.labels
    encoded = pyarrow.table(COLUMNS)
    encoded = encoded.set_column(3, "mix", encoded["mix"].dictionary_encode())
    assert table_from_arrow(encoded).labels == expected.labels
    repeated = pyarrow.Table.from_arrays(
        [encoded["loss"], *encoded.columns], names=["loss", *COLUMNS]
    )
    np.testing.assert_array_equal(table_from_arrow(repeated).loss, expected.loss)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library: str) -> None:
    pytest.importorskip("pyarrow")
    frames = pytest.importorskip(library)
    table = table_from_arrow(frames.DataFrame(COLUMNS))
    expected = table_from_columns(COLUMNS)
    for column, values in expected.numbers.items():
        np.testing.assert_array_equal(table.numbers[column], values)
    assert table.labels["mix"] == expected.labels["mix"]


def test_without_pyarrow_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(COLUMNS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(WindtunnelError, match=r"pip install 'windtunnel\[data\]'"):
        table_from_arrow(table)


class Broken:
    """Its stream breaks off."""

    def __arrow_c_stream__(self, schema: object = None) -> object:
        raise ValueError("the wire\nis cut")


@pytest.mark.parametrize(
    ("table", "words"),
    [([1, 2], "a list has no Arrow interface"), (Broken(), "cannot be read .the wire")],
)
def test_what_is_no_arrow_table(table: object, words: str) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(WindtunnelError, match=words) as raised:
        table_from_arrow(table)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "columns of no rows"),
        ({"params": [1e8], "loss": [3, 4]}, r"columns of \[1, 2\] rows"),
        ({"params": [], "loss": []}, "no rows"),
        ({"params": [1e8, "x"], "loss": [3, 4]}, "table, row 2, column 'params': 'x'"),
        ({"params": [10**400], "loss": [3]}, "row 1, column 'params': inf"),
    ],
)
def test_columns_that_make_no_table(columns: dict[str, list[Any]], words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        table_from_columns(columns)
