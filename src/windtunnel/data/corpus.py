"""A corpus: text turned into tokens once, split in two, kept in the cache, checked when opened."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from windtunnel.data.documents import DocumentSource, find_documents
from windtunnel.data.fingerprint import (
    Fingerprint,
    Reading,
    forget_fingerprint,
    take_fingerprint,
)
from windtunnel.data.tokenfile import (
    FORMAT,
    DamagedFileError,
    TokenHeader,
    open_token_file,
    write_token_file,
)
from windtunnel.data.tokenizers import Tokenizer, Tokens, load_tokenizer
from windtunnel.errors import WindtunnelError
from windtunnel.spec import DataSpec

FEWEST_SEQUENCES = 4
"""A side with fewer sequences than this is refused: a loss over it would mean nothing."""

_ENCODED_TOGETHER_BYTES = 4 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokens ready for training.

    Attributes:
        training: Training tokens, mapped from the cache, read-only: `uint8`, `uint16` or `uint32`.
        validation: Validation tokens, likewise; no document has tokens on both sides.
        content_hash: 32 hexadecimal digits that change with the documents, the tokenizer and the
            validation fraction, and with nothing else.
        vocabulary_size: Number of token ids, the document separator's included.
        documents: Number of documents on both sides.
        description: The corpus in one line, for people.
    """

    training: Tokens
    validation: Tokens
    content_hash: str
    vocabulary_size: int
    documents: int
    description: str


def open_corpus(spec: DataSpec, cache: Path) -> Corpus:
    """Open the corpus that `spec` describes, building it in `cache` the first time.

    The source is read and hashed at every call (above 256 MB only when a file's size or time has
    changed), so a changed source gives another corpus, never an old one. A damaged cache file is
    built anew, with a warning.

    Args:
        spec: Source, tokenizer, and how the text is split and cut.
        cache: Folder for token files; created if needed.

    Raises:
        WindtunnelError: The source is missing, unreadable or too small, a package is missing, or
            the cache can't be written.
    """
    tokenizer = load_tokenizer(spec.tokenizer)
    source = find_documents(spec)
    fingerprint = take_fingerprint(source, spec.text_column, cache)
    if fingerprint.documents == 0:
        raise WindtunnelError(f"data.source: {source.label} holds no text.")
    content_hash = _content_hash(tokenizer, spec.validation_fraction, fingerprint)
    path = _path(cache, content_hash)
    try:
        header, tokens = open_token_file(path, content_hash)
    except (FileNotFoundError, DamagedFileError) as problem:
        if isinstance(problem, DamagedFileError):
            _log.warning("%s is damaged (%s); building it again.", path, problem)
        _build(cache, content_hash, source, spec, tokenizer, fingerprint)
        header, tokens = open_token_file(path, content_hash)
    except OSError as error:
        raise WindtunnelError(f"{path}: cannot be read ({error.strerror}).") from error
    _refuse_too_little(spec, source, header)
    return Corpus(
        training=tokens[: header.training],
        validation=tokens[header.training :],
        content_hash=content_hash,
        vocabulary_size=tokenizer.vocabulary_size,
        documents=header.documents,
        description=_describe(spec, source, header, fingerprint.skipped),
    )


def is_for_validation(document: bytes, fraction: float) -> bool:
    """Whether a document is for validation: its SHA-256, read as a number in [0, 1), decides.

    Nothing but the document's bytes decides, so copies of a document are always on one side, and a
    document stays on its side whatever is added to the corpus.
    """
    return int.from_bytes(hashlib.sha256(document).digest()[:8]) < fraction * 2**64


def _content_hash(tokenizer: Tokenizer, fraction: float, fingerprint: Fingerprint) -> str:
    parts = [FORMAT, tokenizer.identity, fraction, fingerprint.sha256]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _path(cache: Path, content_hash: str) -> Path:
    return cache / "tokens" / f"{content_hash}.tokens"


def _build(
    cache: Path,
    content_hash: str,
    source: DocumentSource,
    spec: DataSpec,
    tokenizer: Tokenizer,
    fingerprint: Fingerprint,
) -> None:
    def sides() -> Iterator[tuple[bool, Tokens]]:
        reading = Reading(source)
        separator = np.array([tokenizer.separator], dtype=tokenizer.dtype)
        for group in _grouped(reading):
            for document, tokens in zip(group, tokenizer.encode(group), strict=True):
                side = is_for_validation(document, spec.validation_fraction)
                yield side, np.concatenate([tokens, separator])
        if reading.fingerprint() != fingerprint:
            forget_fingerprint(source, spec.text_column, cache)
            raise WindtunnelError(
                f"data.source: {source.label} changed while it was read; run the command again "
                "when it is at rest."
            )

    write_token_file(_path(cache, content_hash), content_hash, tokenizer.dtype, sides())


def _grouped(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Documents in lists of about 4 MiB: enough for a tokenizer's threads, little in memory."""
    group: list[bytes] = []
    size = 0
    for document in documents:
        group.append(document)
        size += len(document)
        if size >= _ENCODED_TOGETHER_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _refuse_too_little(spec: DataSpec, source: DocumentSource, header: TokenHeader) -> None:
    needed = FEWEST_SEQUENCES * spec.sequence_length + 1
    if header.validation < needed:
        raise WindtunnelError(
            f"data.validation_fraction: {spec.validation_fraction:g} of the {header.documents:,} "
            f"documents of {source.label} gave {header.validation:,} validation tokens, and at "
            f"least {needed:,} are needed; raise it, give more text or lower data.sequence_length."
        )
    if header.training < needed:
        raise WindtunnelError(
            f"data.source: {source.label} gave {header.training:,} training tokens, and at least "
            f"{needed:,} are needed; give more text or lower data.sequence_length."
        )


def _describe(spec: DataSpec, source: DocumentSource, header: TokenHeader, skipped: int) -> str:
    parts = [
        f"{source.label}: {header.documents:,} documents, {header.training:,} training and "
        f"{header.validation:,} validation tokens"
    ]
    if skipped:
        parts.append(f"left out as no text: {skipped:,}")
    sequences = (header.validation - 1) // spec.sequence_length
    if sequences < spec.validation_sequences:
        parts.append(f"only {sequences:,} of {spec.validation_sequences:,} validation sequences")
    return "; ".join(parts)
