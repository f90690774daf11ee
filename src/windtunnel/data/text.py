"""Plain text as documents: whole files, or one long file in pieces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from windtunnel.errors import WindtunnelError

PIECE_BYTES = 4096
"""A piece of a long file is at least this long (its last one apart) and at most twice as long."""

_BLOCK_BYTES = 1 << 20
_NOT_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


def source_files(root: Path) -> tuple[Path, ...]:
    """Python files below a library's folder, by relative path, without tests and packages."""
    return _files_below(
        root,
        enter=lambda folder: folder not in _NOT_LIBRARY,
        take=lambda name: name.endswith(".py"),
    )


def text_files(root: Path) -> tuple[Path, ...]:
    """Files below a folder by relative path, hidden files and folders left out."""
    return _files_below(root, enter=_is_visible, take=_is_visible)


def unreadable(path: Path, error: OSError) -> WindtunnelError:
    """The error for a file or folder of the source that is gone or shut."""
    return WindtunnelError(f"data.source: {path} cannot be read ({error.strerror or error}).")


def read_whole(path: Path) -> Iterator[bytes | None]:
    """The file as one document, or None if it is not UTF-8 text."""
    content = path.read_bytes()
    yield content if b"\0" not in content and _is_utf8(content) else None


def read_pieces(path: Path) -> Iterator[bytes]:
    """A long text as documents that, joined, are the text again.

    A piece ends at the first blank line after `PIECE_BYTES`; failing that at the first line end;
    failing that (a line of over 4 KiB) at twice `PIECE_BYTES`, between two characters.

    Raises:
        WindtunnelError: The text is not UTF-8.
    """
    with path.open("rb") as file:
        offset = 0
        for piece in _pieces(file):
            if not _is_utf8(piece):
                raise WindtunnelError(
                    f"data.source: {path} is not UTF-8 text (near byte {offset:,}); convert it "
                    "first, or give a .jsonl or .parquet file."
                )
            yield piece
            offset += len(piece)


def _files_below(
    root: Path, enter: Callable[[str], bool], take: Callable[[str], bool]
) -> tuple[Path, ...]:
    """Files below `root` in an order that no file system decides; linked folders not entered."""
    found: list[Path] = []
    for folder, below, names in os.walk(root, onerror=_refuse):
        below[:] = filter(enter, below)
        found += [Path(folder, name) for name in filter(take, names)]
    return tuple(sorted(found, key=lambda path: path.relative_to(root).parts))


def _refuse(error: OSError) -> None:
    raise unreadable(Path(error.filename), error) from error


def _is_visible(name: str) -> bool:
    return not name.startswith(".")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    text, start = b"", 0
    while block := file.read(_BLOCK_BYTES):
        text, start = text[start:] + block, 0
        while len(text) - start > 2 * PIECE_BYTES:
            end = _piece_end(text, start)
            yield text[start:end]
            start = end
    while start < len(text):
        end = _piece_end(text, start)
        yield text[start:end]
        start = end


def _piece_end(text: bytes, start: int) -> int:
    shortest, longest = start + PIECE_BYTES, start + 2 * PIECE_BYTES
    if len(text) <= shortest:
        return len(text)
    for mark in (b"\n\n", b"\n"):
        found = text.find(mark, shortest - len(mark), longest)
        if found >= 0:
            return found + len(mark)
    if len(text) <= longest:
        return len(text)
    while text[longest] & 0xC0 == 0x80 and longest > shortest:  # inside a UTF-8 character
        longest -= 1
    return longest
