"""Read a file of runs."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.assemble import assemble
from windtunnel.laws.reading.delimited import read_delimited
from windtunnel.laws.reading.jsonlines import read_json_lines
from windtunnel.laws.reading.raw import RawTable
from windtunnel.laws.reading.wide import lengthen
from windtunnel.laws.table import RunTable
from windtunnel.laws.where import rows_where

_OTHER_FORMATS = {
    b"PAR1": "a parquet file; read it with pyarrow and give the table to table_from_arrow, or",
    b"ARROW1": "an Arrow file; read it with pyarrow and give the table to table_from_arrow, or",
    b"PK\x03\x04": "a spreadsheet or an archive;",
    b"\x1f\x8b": "compressed; unpack it, or",
    b"SQLite": "a database;",
}


def read_table(
    path: str | Path, *, columns: Mapping[str, str] | None = None, where: str | None = None
) -> RunTable:
    """Read runs from CSV, TSV, text with semicolons, a W&B export, or JSON lines.

    Args:
        path: The file.
        columns: Headings by canonical name where the guess needs help: `{"loss": "C4 loss"}`, with
            a unit after them that the file does not say: `{"params": "size (M)"}`.
        where: Rows to keep, such as `loss<3.44 and data_mix==c4`.

    Raises:
        WindtunnelError: The file cannot be read, a column cannot be told, a cell is no number, or
            no row is left. The message has the line and the column.
    """
    table = assemble(read_raw(path), columns)
    return table if where is None else table.keep(rows_where(table, where))


def read_raw(path: str | Path) -> RawTable:
    """Read a file's cells without saying yet which column is what.

    Raises:
        WindtunnelError: The file cannot be read as a table.
    """
    source = str(path)
    text = _text(Path(path), source)
    begin = text.lstrip()[:1]
    if begin == "[":
        raise WindtunnelError(
            f"{source}: a JSON array; write one object a line instead (jq -c '.[]' does it)"
        )
    raw = read_json_lines(text, source) if begin == "{" else read_delimited(text, source)
    return lengthen(raw)


def _text(path: Path, source: str) -> str:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        raise WindtunnelError(
            f"{path}: cannot be read ({reason}); give a CSV file of runs"
        ) from error
    for magic, what in _OTHER_FORMATS.items():
        if data.startswith(magic):
            raise WindtunnelError(f"{source}: this is {what} export it as CSV")
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise WindtunnelError(
            f"{source}, line {line}: a character that is not UTF-8; save the file as UTF-8 text"
        ) from error
    if "\0" in text:
        raise WindtunnelError(f"{source}: this is no text; export the table as CSV")
    return text
