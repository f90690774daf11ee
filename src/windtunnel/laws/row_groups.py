"""Which rows of a table agree in some columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from windtunnel.laws.table import RunTable

_SIZES = ("params", "tokens", "flops", "unique_tokens", "experts", "vocabulary")
_MOST_SETTINGS = 30


def row_groups(table: RunTable, names: Sequence[str] | None = None) -> NDArray[np.int64]:
    """(n,) numbers from 0 that are equal where rows agree in all the columns.

    Args:
        table: The rows.
        names: Columns of numbers or texts; all of them by default. Empty cells agree.
    """
    chosen = [*table.numbers, *table.labels] if names is None else names
    group = np.zeros(len(table), dtype=np.int64)
    for name in chosen:
        if name in table.numbers:
            _, code = np.unique(table.numbers[name], return_inverse=True)
        else:
            found: dict[str, int] = {}
            code = np.array([found.setdefault(text, len(found)) for text in table.labels[name]])
        _, group = np.unique(group * (code.max(initial=0) + 1) + code, return_inverse=True)
    return group.astype(np.int64)


def size_groups(table: RunTable) -> NDArray[np.int64]:
    """(n,) numbers that are equal where rows agree in size, length and settings told by texts."""
    sizes = [name for name in _SIZES if name in table.numbers]
    return row_groups(table, [*sizes, *setting_columns(table)])


def setting_columns(table: RunTable) -> list[str]:
    """Columns of texts that name settings, such as a data mix: few distinct ones, each repeated."""
    most = min(_MOST_SETTINGS, len(table) // 3)
    return [
        name for name, texts in table.labels.items() if name != "run" and len(set(texts)) <= most
    ]
