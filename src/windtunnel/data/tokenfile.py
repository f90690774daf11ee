"""The cached token file: one header page, the training tokens, the validation tokens.

The page is JSON padded with spaces; its last 64 bytes are the SHA-256, in hexadecimal, of the
tokens followed by the rest of the page.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from windtunnel.data.tokenizers import Tokens
from windtunnel.files import write_atomically

FORMAT = "windtunnel tokens 1"
_PAGE_BYTES = 4096
_CHECKSUM_BYTES = 64
_BLOCK_BYTES = 1 << 22


class DamagedFileError(Exception):
    """The token file is not what was written; the message says how that shows."""


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """What stands at the head of a token file.

    Attributes:
        content_hash: What the tokens were made from, and how.
        dtype: Type of one token, as NumPy writes it (`|u1`, `<u2`, `<u4`).
        training: Number of training tokens.
        validation: Number of validation tokens.
        documents: Number of documents on both sides.
        format: `FORMAT` of the program that wrote the file.
    """

    content_hash: str
    dtype: str
    training: int
    validation: int
    documents: int
    format: str = FORMAT


def write_token_file(
    path: Path,
    content_hash: str,
    dtype: np.dtype[Any],
    documents: Iterable[tuple[bool, Tokens]],
) -> None:
    """Write a token file atomically, in one pass over the documents.

    Args:
        path: The file to create or replace.
        content_hash: What the tokens are made from, and how.
        dtype: Type of one token in the file.
        documents: For each document: whether it is for validation, and its tokens.

    Raises:
        WindtunnelError: The disk is full or the folder can't be written.
    """

    def write(file: BinaryIO) -> None:
        digest = hashlib.sha256()
        sizes: dict[bool, list[int]] = {True: [], False: []}
        file.write(bytes(_PAGE_BYTES))
        with tempfile.TemporaryFile(dir=path.parent) as validation:
            for is_validation, tokens in documents:
                sizes[is_validation].append(tokens.size)
                content = tokens.astype(dtype).tobytes()
                if is_validation:
                    validation.write(content)
                else:
                    digest.update(content)
                    file.write(content)
            validation.seek(0)
            for block in _blocks(validation):
                digest.update(block)
                file.write(block)
        header = TokenHeader(
            content_hash=content_hash,
            dtype=dtype.str,
            training=sum(sizes[False]),
            validation=sum(sizes[True]),
            documents=len(sizes[False]) + len(sizes[True]),
        )
        page = json.dumps(asdict(header)).encode().ljust(_PAGE_BYTES - _CHECKSUM_BYTES)
        digest.update(page)
        file.seek(0)
        file.write(page + digest.hexdigest().encode())

    write_atomically(path, write)


def open_token_file(path: Path, content_hash: str) -> tuple[TokenHeader, Tokens]:
    """Map a token file into memory, once its checksum proves it whole.

    Returns:
        The header, and the training tokens followed by the validation tokens.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedFileError: It is not what was written, or it was made from something else.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        page = file.read(_PAGE_BYTES)
        for block in _blocks(file):
            digest.update(block)
    digest.update(page[:-_CHECKSUM_BYTES])
    if digest.hexdigest().encode() != page[-_CHECKSUM_BYTES:]:
        raise DamagedFileError("its checksum is wrong")
    header = TokenHeader(**json.loads(page[:-_CHECKSUM_BYTES]))
    if header.content_hash != content_hash:
        raise DamagedFileError("it was made from another source")
    count = header.training + header.validation
    return header, np.memmap(path, header.dtype, mode="r", offset=_PAGE_BYTES, shape=(count,))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block
