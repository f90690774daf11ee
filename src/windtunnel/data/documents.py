"""Where documents come from: the standard library, a folder, text, JSON lines or parquet."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from windtunnel.data.records import JSON_LINES, read_json_lines, read_parquet
from windtunnel.data.text import read_pieces, read_whole, source_files, text_files, unreadable
from windtunnel.errors import WindtunnelError
from windtunnel.spec import DataSpec


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """Documents in a fixed order, readable as often as needed.

    Attributes:
        label: What the source is, in a few words.
        files: The files that hold the documents, in reading order.
        read: Documents of one file, as UTF-8; None stands for something that holds no text.
    """

    label: str
    files: tuple[Path, ...]
    read: Callable[[Path], Iterator[bytes | None]]

    def documents(self) -> Iterator[bytes | None]:
        """All documents, file after file.

        Raises:
            WindtunnelError: A file vanished, cannot be read, or is not what its name says.
        """
        for file in self.files:
            try:
                yield from self.read(file)
            except OSError as error:
                raise unreadable(file, error) from error


def find_documents(spec: DataSpec) -> DocumentSource:
    """Find the files that `spec.source` means, and how to read them.

    - `stdlib`: the running Python's standard library, tests left out; a file is a document.
    - A folder: every file below it that is UTF-8 text, hidden ones left out; a file is a document.
    - `.jsonl`, `.jsonl.gz`, `.jsonl.zst`, `.parquet`: a row's `spec.text_column` is a document.
    - Any other file: text, cut into pieces of about 4 KiB at paragraph ends; a piece is a document.

    Raises:
        WindtunnelError: There is nothing at that path.
    """
    if spec.source == "stdlib":
        root = Path(sysconfig.get_path("stdlib"))
        label = f"standard library of Python {platform.python_version()}"
        return DocumentSource(label, source_files(root), read_whole)
    path = Path(spec.source).expanduser()
    if path.is_dir():
        return DocumentSource(f"folder {path}", text_files(path), read_whole)
    if not path.is_file():
        raise WindtunnelError(
            f"data.source: {path} does not exist; give a file, a folder or `stdlib`."
        )
    if path.name.endswith(JSON_LINES):
        return DocumentSource(str(path), (path,), partial(read_json_lines, column=spec.text_column))
    if path.suffix == ".parquet":
        return DocumentSource(str(path), (path,), partial(read_parquet, column=spec.text_column))
    return DocumentSource(str(path), (path,), read_pieces)
