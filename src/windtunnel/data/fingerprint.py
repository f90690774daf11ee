"""What a source holds, as a hash: read in full each time, or remembered for very large ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from windtunnel.data.documents import DocumentSource
from windtunnel.data.text import unreadable
from windtunnel.files import write_json

REMEMBERED_ABOVE_BYTES = 256 << 20
"""Sources up to this size are hashed at every start (12 MB take 0.1 s), larger ones once."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A source's content.

    Attributes:
        sha256: Hash of all documents, each after its length.
        documents: Number of documents; empty ones don't count.
        skipped: Number of files or rows that hold no text.
    """

    sha256: str
    documents: int
    skipped: int


class Reading:
    """One pass over a source, which knows its fingerprint when it is through."""

    def __init__(self, source: DocumentSource) -> None:
        """Begin before the first document."""
        self._source = source
        self._digest = hashlib.sha256()
        self._documents = 0
        self._skipped = 0

    def __iter__(self) -> Iterator[bytes]:
        """The documents that hold text."""
        for document in self._source.documents():
            if document is None:
                self._skipped += 1
            elif document:
                self._documents += 1
                self._digest.update(len(document).to_bytes(8, "little"))
                self._digest.update(document)
                yield document

    def fingerprint(self) -> Fingerprint:
        """The fingerprint of what was read so far."""
        return Fingerprint(self._digest.hexdigest(), self._documents, self._skipped)


def take_fingerprint(source: DocumentSource, column: str, cache: Path) -> Fingerprint:
    """The source's fingerprint: by reading it all, or remembered if it is very large.

    A memory is found under the hash of the text column and of the files' paths, sizes and times of
    change.
    """
    memory = _memory(source, column, cache)
    fingerprint = _recall(memory) if memory else None
    if fingerprint is None:
        reading = Reading(source)
        for _ in reading:
            pass
        fingerprint = reading.fingerprint()
        if memory:
            write_json(memory, asdict(fingerprint))
    return fingerprint


def forget_fingerprint(source: DocumentSource, column: str, cache: Path) -> None:
    """Drop what is remembered of a source, once it has proved wrong."""
    memory = _memory(source, column, cache)
    if memory:
        memory.unlink(missing_ok=True)


def _memory(source: DocumentSource, column: str, cache: Path) -> Path | None:
    seen = []
    for path in source.files:
        try:
            state = path.stat()
        except OSError as error:
            raise unreadable(path, error) from error
        seen.append((str(path.resolve()), state.st_size, state.st_mtime_ns))
    if sum(size for _, size, _ in seen) <= REMEMBERED_ABOVE_BYTES:
        return None
    key = hashlib.sha256(json.dumps([column, seen]).encode()).hexdigest()[:32]
    return cache / "fingerprints" / f"{key}.json"


def _recall(memory: Path) -> Fingerprint | None:
    try:
        return Fingerprint(**json.loads(memory.read_bytes()))
    except (OSError, ValueError, TypeError):  # none, or not whole: the source is read instead
        return None
