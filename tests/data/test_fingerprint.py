"""Fingerprints: what changes them, and that a memory is used only where it may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.data import fingerprint as module
from windtunnel.data.documents import DocumentSource
from windtunnel.data.fingerprint import forget_fingerprint, take_fingerprint
from windtunnel.errors import WindtunnelError

documents = st.lists(st.one_of(st.none(), st.binary(max_size=8)), max_size=6)


def source_of(content: list[bytes | None]) -> DocumentSource:
    return DocumentSource("test", (Path(__file__),), lambda _: iter(content))


@given(documents, documents)
def test_equal_exactly_when_the_texts_are(
    one: list[bytes | None], other: list[bytes | None]
) -> None:
    same = [text for text in one if text] == [text for text in other if text]
    cache = Path("never used")
    first = take_fingerprint(source_of(one), "text", cache)
    second = take_fingerprint(source_of(other), "text", cache)
    assert (first.sha256 == second.sha256) == same
    assert first.skipped == one.count(None)
    assert first.documents == len([text for text in one if text])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files read so far, in a world where every file counts as very large."""
    monkeypatch.setattr(module, "REMEMBERED_ABOVE_BYTES", 0)
    return []


def counting_source(path: Path, reads: list[Path]) -> DocumentSource:
    def read(file: Path) -> Iterator[bytes]:
        reads.append(file)
        yield file.read_bytes()

    return DocumentSource("test", (path,), read)


def test_a_very_large_source_is_read_once_until_it_changes(
    tmp_path: Path, reads: list[Path]
) -> None:
    path, cache = tmp_path / "f", tmp_path / "cache"
    path.write_bytes(b"one")
    source = counting_source(path, reads)
    first = take_fingerprint(source, "text", cache)
    assert take_fingerprint(source, "text", cache) == first
    assert len(reads) == 1
    take_fingerprint(source, "body", cache)  # another column is another text
    assert len(reads) == 2
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))  # a change of time is enough, even back in time
    assert take_fingerprint(source, "text", cache) != first
    assert len(reads) == 3


def test_a_damaged_or_forgotten_memory_is_read_anew(tmp_path: Path, reads: list[Path]) -> None:
    path, cache = tmp_path / "f", tmp_path / "cache"
    path.write_bytes(b"one")
    source = counting_source(path, reads)
    first = take_fingerprint(source, "text", cache)
    (memory,) = (cache / "fingerprints").iterdir()
    for damage in (b"", b'{"sha256": "ab', b"[]", b'{"sha256": "ab"}'):
        memory.write_bytes(damage)
        assert take_fingerprint(source, "text", cache) == first
    assert len(reads) == 5
    forget_fingerprint(source, "text", cache)
    assert not memory.exists()
    forget_fingerprint(source, "text", cache)


def test_a_small_source_leaves_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    take_fingerprint(counting_source(path, []), "text", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"data.source: .*gone.txt cannot be read"):
        take_fingerprint(counting_source(tmp_path / "gone.txt", []), "text", tmp_path)
