"""Rows chosen by comparisons: `loss<3.44 and data_mix==c4`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.quantity import parse_quantity
from windtunnel.laws.table import RunTable

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_QUOTED = r"\"[^\"]*\"|'[^']*'|`[^`]*`"
_COLUMN = re.compile(rf"\s*(?P<text>{_QUOTED}|[^<>=!\"'`]+?)\s*(?=[<>=!]|$)")
_OPERATOR = re.compile(r"<=|>=|==|!=|<|>|=")
_VALUE = re.compile(
    rf"\s*(?P<text>{_QUOTED}|[^<>=!\"'`]*?)\s*(?P<end>$|,|&&|\band\b)", re.IGNORECASE
)
_PLAIN_UNITS = frozenset({"as it is", "nats", "bits", "bits per byte", "share of 1", "counts"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a column with a value.

    Attributes:
        column: As typed, without quotes.
        sign: One of `<`, `<=`, `>`, `>=`, `==`, `!=`.
        value: As typed, without quotes.
        position: Of the column in the text, from 1.
    """

    column: str
    sign: str
    value: str
    position: int


def rows_where(table: RunTable, text: str, *, option: str = "--where") -> NDArray[np.bool_]:
    """The (n,) rows for which every comparison holds; an empty number satisfies only `!=`.

    Columns go by their canonical names, with counts in plain units (`params>=1e9` or
    `params>=1B`), or by their headings.

    Args:
        table: The runs.
        text: The comparisons.
        option: What the person who typed them called them, for messages.

    Raises:
        WindtunnelError: The text cannot be read, names no column of the table, or leaves no row.
    """
    mask = np.ones(len(table), dtype=bool)
    for comparison in parse_where(text, option=option):
        mask &= _holds(table, comparison, option)
    if not mask.any():
        raise WindtunnelError(f"{option}: none of the {len(table)} rows has {text.strip()}")
    return mask


def parse_where(text: str, *, option: str = "--where") -> list[Comparison]:
    """Read comparisons joined by `and` or a comma.

    Raises:
        WindtunnelError: A comparison cannot be read; the message has its position.
    """
    found = []
    position = 0
    while True:
        column = _COLUMN.match(text, position)
        if column is None or not column["text"].strip():
            raise _wrong(option, position, "a column's name is missing")
        sign = _OPERATOR.match(text, column.end())
        if sign is None:
            raise _wrong(
                option, column.end(), f"after '{column['text']}' comes one of < <= > >= == !="
            )
        value = _VALUE.match(text, sign.end())
        if value is None:
            raise _wrong(
                option,
                sign.end(),
                "the value cannot be read; join comparisons by 'and', and quote texts",
            )
        if not value["text"]:
            raise _wrong(
                option, sign.end(), f"a value is missing after '{column['text']} {sign[0]}'"
            )
        comparator = "==" if sign[0] == "=" else sign[0]
        name, wanted = _unquoted(column["text"]), _unquoted(value["text"])
        found.append(Comparison(name, comparator, wanted, column.start("text") + 1))
        position = value.end()
        if not value["end"]:
            return found


def _wrong(option: str, position: int, what: str) -> WindtunnelError:
    return WindtunnelError(
        f'{option}, position {position + 1}: {what}; write it as "loss<3.44 and data_mix==c4"'
    )


def _unquoted(text: str) -> str:
    return text[1:-1] if text[0] in "\"'`" else text


def _holds(table: RunTable, comparison: Comparison, option: str) -> NDArray[np.bool_]:
    place = f"{option}, position {comparison.position}: column '{comparison.column}'"
    name = _column(table, comparison.column, place)
    compare = _COMPARE[comparison.sign]
    if name in table.numbers:
        try:
            value = parse_quantity(comparison.value).value
        except WindtunnelError as error:
            raise WindtunnelError(f"{place} holds numbers, and {error}") from error
        return np.asarray(compare(table.numbers[name], value))
    if comparison.sign not in ("==", "!="):
        raise WindtunnelError(f"{place} holds texts; compare it with == or !=")
    texts = table.labels[name]
    held = dict.fromkeys(texts)
    if comparison.value not in held:
        shown = ", ".join(f"'{text}'" for text in list(held)[:8])
        more = f" and {len(held) - 8} more" if len(held) > 8 else ""
        raise WindtunnelError(f"{place} never is '{comparison.value}'; it holds {shown}{more}")
    return np.array([compare(text, comparison.value) for text in texts], dtype=bool)


def _column(table: RunTable, text: str, place: str) -> str:
    names = [*table.numbers, *table.labels]
    if text in names:
        return text
    use = next((use for use in table.uses if use.heading == text), None)
    if use is None:
        raise WindtunnelError(f"{place} is not there; there are {', '.join(names)}")
    if use.unit not in _PLAIN_UNITS and use.name in table.numbers:
        raise WindtunnelError(
            f"{place} was read in another unit ({use.unit}); call it {use.name}, in plain units"
        )
    return use.name
