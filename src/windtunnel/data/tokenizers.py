"""From text to token ids: its bytes, or what a file of the `tokenizers` library says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from windtunnel.data.records import missing_extra
from windtunnel.errors import WindtunnelError

Tokens = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """How documents become token ids.

    Attributes:
        identity: Text that differs between tokenizers that cut differently.
        vocabulary_size: Number of ids, the separator's included.
        separator: The id written after every document, and nowhere else.
        encode: Token ids of each of some documents (UTF-8), without the separator.
    """

    identity: str
    vocabulary_size: int
    separator: int
    encode: Callable[[Sequence[bytes]], list[Tokens]]

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The smallest type that holds every id; little-endian, for files read elsewhere."""
        return np.min_scalar_type(self.vocabulary_size - 1).newbyteorder("<")


def load_tokenizer(name: str) -> Tokenizer:
    """The byte tokenizer for `bytes`; otherwise `name` is the path of a `tokenizers` JSON file.

    Raises:
        WindtunnelError: There is no such file, it is no tokenizer, or `tokenizers` is missing.
    """
    return byte_tokenizer() if name == "bytes" else _file_tokenizer(Path(name).expanduser())


def byte_tokenizer() -> Tokenizer:
    """One id a byte. The separator is 255, a byte that never occurs in UTF-8."""

    def encode(documents: Sequence[bytes]) -> list[Tokens]:
        return [np.frombuffer(document, dtype=np.uint8) for document in documents]

    return Tokenizer("bytes", vocabulary_size=256, separator=255, encode=encode)


def _file_tokenizer(path: Path) -> Tokenizer:
    """The file's own ids, and one more above them all as the separator."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WindtunnelError(
            f"data.tokenizer: {path} cannot be read ({error.strerror}); give `bytes` or the path "
            "of a tokenizer.json."
        ) from error
    try:
        import tokenizers
    except ImportError as error:
        raise missing_extra("data.tokenizer", "tokenizer files", "tokenizers") from error
    try:
        model = tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exception
        raise WindtunnelError(
            f"data.tokenizer: {path} is no tokenizers JSON file ({error})."
        ) from error
    separator = max(model.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(documents: Sequence[bytes]) -> list[Tokens]:
        texts = [document.decode("utf-8") for document in documents]
        encodings = model.encode_batch(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    return Tokenizer(
        identity=f"tokenizers {hashlib.sha256(content).hexdigest()}",
        vocabulary_size=separator + 1,
        separator=separator,
        encode=encode,
    )
