"""Text with separated cells: CSV, TSV, semicolons."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.raw import RawTable, distinct_headings

_DELIMITERS = (",", "\t", ";", "|")
_BLOCK = 300  # rows; few enough to be gone before the garbage collector looks at them twice
_NUMBER = re.compile(r"[+-]?[0-9.]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_LOOSE_QUOTE = re.compile(r'" +(?=[,;|\t\r\n]|$)')
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


def read_delimited(text: str, source: str) -> RawTable:
    """Read separated cells under one row of headings.

    Blank lines and lines that begin with `#` are passed over. A row may end in empty cells that
    no heading stands over, as spreadsheets write them.

    Raises:
        WindtunnelError: No headings, a row with too few or too many cells, quotes that never end,
            or commas that can be read in two ways.
    """
    delimiter = _delimiter(text)
    found = _rows(text, delimiter, source)
    first = next(found, None)
    if first is None:
        raise WindtunnelError(f"{source}: the file is empty; give a table with one row a run")
    line, headings = first
    while headings and not headings[-1].strip():
        headings.pop()
    if all(_NUMBER.fullmatch(heading.strip()) for heading in headings):
        raise WindtunnelError(
            f"{source}, line {line}: there are numbers where the headings belong; begin the file "
            "with a line such as params,tokens,loss"
        )
    names = distinct_headings(headings)
    numbers, blocks = [], []
    # The collector leaves tuples of texts alone; a million lists would keep it busy for seconds.
    while block := list(itertools.islice(found, _BLOCK)):
        numbers.append(np.array([line for line, _ in block], dtype=np.int64))
        rows = [
            row if len(row) == len(names) else _fitted(row, len(names), f"{source}, line {line}")
            for line, row in block
        ]
        blocks.append(tuple(zip(*rows, strict=True)))
    if not numbers:
        raise WindtunnelError(f"{source}: there are headings but no rows; give one row a run")
    columns = {
        name: tuple(itertools.chain.from_iterable(parts))
        for name, parts in zip(names, zip(*blocks, strict=True), strict=True)
    }
    if delimiter != ",":
        columns = _with_points(columns, source)
    return RawTable(source, "line", np.concatenate(numbers), columns)


def _lines(text: str) -> Iterator[str]:
    """The lines with comments blanked, so that numbers of lines stay right."""
    lines: Iterator[str] = io.StringIO(text, newline=None)
    if '" ' in text:  # blanks between a quote and the separator, which csv refuses
        lines = (_LOOSE_QUOTE.sub('"', line) for line in lines)
    if "#" not in text:
        return lines
    return ("\n" if line.lstrip().startswith("#") else line for line in lines)


def _delimiter(text: str) -> str:
    heading = next((line for line in _lines(text) if line.strip()), "")
    outside_quotes = re.sub(r'"[^"]*"', "", heading)
    return max(_DELIMITERS, key=outside_quotes.count)


def _rows(text: str, delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    lines = _lines(text)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    begin = 1
    try:
        for row in reader:
            if row and (row[0].strip() or any(map(str.strip, row))):
                yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise WindtunnelError(
            f"{source}, line {begin}: the row cannot be read ({error}); look for a quote that "
            "does not end"
        ) from error


def _fitted(row: list[str], width: int, place: str) -> list[str]:
    extra = row[width:]
    if len(row) < width or any(map(str.strip, extra)):
        raise WindtunnelError(
            f"{place}: {len(row)} cells under {width} headings; mend the row, and quote a cell "
            "that holds the separator"
        )
    return row[:width]


def _with_points(columns: dict[str, tuple[str, ...]], source: str) -> dict[str, tuple[str, ...]]:
    """Decimal commas as points, in a file that separates its cells by something else."""
    with_commas = {
        heading: [cell for cell in set(cells) if _COMMA.fullmatch(cell.strip())]
        for heading, cells in columns.items()
    }
    written = [cell for cells in with_commas.values() for cell in cells]
    if not written:
        return columns
    if all(_THOUSANDS.fullmatch(cell.strip()) for cell in written):
        heading = next(name for name, cells in with_commas.items() if cells)
        raise WindtunnelError(
            f"{source}, column '{heading}': '{min(written)}' can be read in two ways; write a "
            "point for decimals and no separator of thousands"
        )
    return {
        heading: tuple(
            cell.replace(",", ".") if _COMMA.fullmatch(cell.strip()) else cell for cell in cells
        )
        if with_commas[heading]
        else cells
        for heading, cells in columns.items()
    }
