"""Rows with a text column as documents: JSON lines, plain or compressed, and parquet."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from windtunnel.errors import WindtunnelError

JSON_LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
"""Endings of the files that `read_json_lines` reads."""

_BLOCK_BYTES = 1 << 20


def read_json_lines(path: Path, column: str) -> Iterator[bytes | None]:
    """The text of each line, as UTF-8; None where it is null. Empty lines are passed over.

    Raises:
        WindtunnelError: A line is not a JSON object, or its column is missing or no text; the
            message names the line's number. Or the compressed file is damaged.
    """
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"data.source: {path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: bad UTF-8 as well
            raise WindtunnelError(f"{where}: not valid JSON ({error}).") from error
        if not isinstance(row, dict):
            raise WindtunnelError(f"{where}: not a JSON object; every line must be one.")
        if column not in row:
            raise WindtunnelError(f"{where}: {_no_column(column, row)}")
        yield _utf8(row[column], f"{where}: column '{column}'")


def read_parquet(path: Path, column: str) -> Iterator[bytes | None]:
    """The text of each row, as UTF-8; None where it is null.

    Raises:
        WindtunnelError: pyarrow is missing, the file is damaged, or the column is missing or no
            text.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("data.source", "parquet files", "pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if column not in names:
                raise WindtunnelError(f"data.source: {path}: {_no_column(column, names)}")
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=[column]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    yield _utf8(value, f"data.source: {path}, row {row}: column '{column}'")
    except pyarrow.ArrowException as error:
        raise WindtunnelError(f"data.source: {path} is not a whole parquet file.") from error


def missing_extra(field: str, what: str, package: str) -> WindtunnelError:
    """The error for an optional package that is not installed."""
    return WindtunnelError(
        f"{field}: {what} need {package}; install it with `pip install 'windtunnel[data]'`."
    )


def _lines(path: Path) -> Iterator[bytes]:
    if path.suffix == ".zst":
        return _split_lines(_decompressed_zstd(path))
    return _gzip_lines(path) if path.suffix == ".gz" else _plain_lines(path)


def _plain_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _gzip_lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise WindtunnelError(f"data.source: {path} is not a whole gzip file ({error}).") from error


def _decompressed_zstd(path: Path) -> Iterator[bytes]:
    """Blocks of a file of one or more frames; a file that ends inside a frame is an error."""
    try:
        import zstandard
    except ImportError as error:
        raise missing_extra("data.source", ".zst files", "zstandard") from error
    frame = None
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            while block:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                try:
                    yield frame.decompress(block)
                except zstandard.ZstdError as error:
                    raise WindtunnelError(
                        f"data.source: {path} is not a whole zstd file ({error})."
                    ) from error
                block = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    if frame is not None:
        raise WindtunnelError(f"data.source: {path} is not a whole zstd file (it ends early).")


def _split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _no_column(column: str, names: Iterable[str]) -> str:
    present = ", ".join(sorted(names)) or "nothing"
    return f"no column '{column}' (there is: {present}); set data.text_column."


def _utf8(value: Any, where: str) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise WindtunnelError(f"{where} is {type(value).__name__}, not text; set data.text_column.")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise WindtunnelError(f"{where} holds half a character ({error.reason}).") from error
