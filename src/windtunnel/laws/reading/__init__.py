"""Reading tables of runs, from files and from memory."""

from __future__ import annotations

from windtunnel.laws.reading.file import read_table
from windtunnel.laws.reading.given import parse_columns
from windtunnel.laws.reading.memory import table_from_arrow, table_from_columns

__all__ = ["parse_columns", "read_table", "table_from_arrow", "table_from_columns"]
