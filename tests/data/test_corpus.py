"""Opening a corpus: split by document, cached by content, never trusting a damaged file."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.data import documents as documents_module
from windtunnel.data.corpus import Corpus, is_for_validation, open_corpus
from windtunnel.errors import WindtunnelError
from windtunnel.spec import DataSpec

SEPARATOR = 255


def write_folder(folder: Path, texts: list[str]) -> DataSpec:
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number:04}.txt").write_text(text, encoding="utf-8")
    return DataSpec(
        source=str(folder), sequence_length=4, validation_fraction=0.25, validation_sequences=8
    )


@pytest.fixture
def spec(tmp_path: Path) -> DataSpec:
    return write_folder(tmp_path / "texts", [f"document number {n}" for n in range(80)])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def documents_of(tokens: np.ndarray) -> list[str]:
    """Split tokens at the separator, which every document ends with."""
    *found, last = tokens.tobytes().split(bytes([SEPARATOR]))
    assert last == b""
    return [document.decode() for document in found]


def token_file(cache: Path) -> Path:
    (path,) = (cache / "tokens").glob("*.tokens")
    return path


@settings(max_examples=20, deadline=None)  # each writes a hundred files
@given(st.sets(st.text("abcdé", min_size=30), min_size=60, max_size=80).map(sorted))
def test_every_document_is_whole_and_on_one_side(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    root = tmp_path_factory.mktemp("split")
    spec = write_folder(root / "texts", texts + texts[:10])  # ten of them twice
    corpus = open_corpus(spec, root / "cache")
    training, validation = documents_of(corpus.training), documents_of(corpus.validation)
    assert not set(training) & set(validation)
    assert sorted(training + validation) == sorted(texts + texts[:10])
    assert all(is_for_validation(text.encode(), 0.25) for text in validation)
    assert corpus.documents == len(texts) + 10
    shutil.rmtree(root)


def test_a_document_s_side_follows_from_its_sha256() -> None:
    """The hash of `abc` begins ba7816bf (FIPS 180-2, appendix B.1): 0.72839 of the way to one."""
    assert is_for_validation(b"abc", 0.7284)
    assert not is_for_validation(b"abc", 0.7283)


def test_the_split_takes_its_share_and_only_grows_with_it() -> None:
    documents = [str(n).encode() for n in range(20_000)]
    small = {document for document in documents if is_for_validation(document, 0.05)}
    large = {document for document in documents if is_for_validation(document, 0.2)}
    assert small < large
    # Five standard deviations of a binomial share.
    assert abs(len(small) / 20_000 - 0.05) < 5 * (0.05 * 0.95 / 20_000) ** 0.5
    assert abs(len(large) / 20_000 - 0.2) < 5 * (0.2 * 0.8 / 20_000) ** 0.5


def test_stdlib_opens_with_enough_on_both_sides(cache: Path) -> None:
    corpus = open_corpus(DataSpec(), cache)
    assert corpus.training.size > 5_000_000
    assert 0.01 < corpus.validation.size / corpus.training.size < 0.2
    assert "class JSONDecoder" in "".join(
        documents_of(corpus.training) + documents_of(corpus.validation)
    )
    assert corpus.vocabulary_size == 256
    assert isinstance(corpus.training, np.memmap)
    assert not corpus.training.flags.writeable
    assert corpus.description.startswith("standard library of Python 3.")


def test_opening_again_gives_the_same_and_writes_nothing(spec: DataSpec, cache: Path) -> None:
    first = open_corpus(spec, cache)
    written = token_file(cache).stat()
    second = open_corpus(spec, cache)
    assert same(first, second)
    assert token_file(cache).stat() == written


def same(one: Corpus, other: Corpus) -> bool:
    return (
        np.array_equal(one.training, other.training)
        and np.array_equal(one.validation, other.validation)
        and one.content_hash == other.content_hash
        and one.description == other.description
    )


def test_the_hash_follows_content_and_nothing_else(
    spec: DataSpec, cache: Path, tmp_path: Path
) -> None:
    original = open_corpus(spec, cache).content_hash
    shutil.copytree(spec.source, tmp_path / "elsewhere")
    moved = spec.model_copy(update={"source": str(tmp_path / "elsewhere")})
    assert open_corpus(moved, cache).content_hash == original
    cut = spec.model_copy(update={"sequence_length": 5, "validation_sequences": 2})
    assert open_corpus(cut, cache).content_hash == original
    split = spec.model_copy(update={"validation_fraction": 0.3})
    assert open_corpus(split, cache).content_hash != original
    changed = tmp_path / "elsewhere" / "0003.txt"
    state = changed.stat()
    changed.write_text("document number 4")  # same length
    os.utime(changed, ns=(state.st_atime_ns, state.st_mtime_ns))  # and same time
    assert open_corpus(moved, cache).content_hash != original


@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "zeroed"])
def test_a_damaged_cache_is_built_again_with_a_warning(
    spec: DataSpec, cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_corpus(spec, cache)
    path = token_file(cache)
    content = bytearray(path.read_bytes())
    expected = (np.array(first.training), np.array(first.validation))
    del first  # its map must not outlive the file's content
    if damage == "truncated":
        del content[-100:]
    elif damage == "emptied":
        content.clear()
    elif damage == "flipped":
        content[-50] ^= 1
    else:
        content[:4096] = bytes(4096)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = open_corpus(spec, cache)
    assert np.array_equal(again.training, expected[0])
    assert np.array_equal(again.validation, expected[1])
    (record,) = caplog.records
    assert "is damaged (its checksum is wrong); building it again" in record.getMessage()
    caplog.clear()
    open_corpus(spec, cache)
    assert not caplog.records


def test_a_build_killed_midway_leaves_nothing_that_is_trusted(spec: DataSpec, cache: Path) -> None:
    """Kill -9 a process that has written half of the file; the next one builds it whole."""
    asked = spec.model_dump_json()
    code = f"""
        import sys, time
        from pathlib import Path
        from windtunnel.data import corpus
        from windtunnel.spec import DataSpec
        slow = corpus.is_for_validation
        def is_for_validation(document, fraction):
            if b"number 60" in document:
                print("halfway", flush=True)
                time.sleep(60)
            return slow(document, fraction)
        corpus.is_for_validation = is_for_validation
        corpus.open_corpus(DataSpec.model_validate_json({asked!r}), Path({str(cache)!r}))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "halfway\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (left_over,) = (cache / "tokens").iterdir()
    assert left_over.suffix == ".tmp"
    corpus = open_corpus(spec, cache)
    assert len(documents_of(corpus.training) + documents_of(corpus.validation)) == 80
    assert left_over.exists()
    assert same(open_corpus(spec, cache), corpus)


def test_a_source_that_changes_while_it_is_read_is_refused(
    spec: DataSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def read(path: Path) -> list[bytes]:
        reads.append(path)
        return [path.read_bytes() + (b" changed" if len(reads) == 100 else b"")]

    monkeypatch.setattr(documents_module, "read_whole", read)
    with pytest.raises(WindtunnelError, match="changed while it was read"):
        open_corpus(spec, cache)
    assert list((cache / "tokens").iterdir()) == []
    open_corpus(spec, cache)


def test_a_source_that_vanished_is_named_even_with_a_cache(spec: DataSpec, cache: Path) -> None:
    open_corpus(spec, cache)
    shutil.rmtree(spec.source)
    with pytest.raises(WindtunnelError, match=r"data.source: .*texts does not exist"):
        open_corpus(spec, cache)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"data.source: .*f.txt holds no text"),
        (b"caf\xe9", r"data.source: .*f.txt is not UTF-8 text"),
        (b"short", r"gave \d validation tokens, and at least 17 are needed"),
    ],
)
def test_a_file_with_too_little_in_it_is_refused(
    tmp_path: Path, cache: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(content)
    with pytest.raises(WindtunnelError, match=says):
        open_corpus(DataSpec(source=str(path), sequence_length=4), cache)


def test_a_folder_without_text_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "texts").mkdir()
    spec = DataSpec(source=str(tmp_path / "texts"))
    with pytest.raises(WindtunnelError, match="texts holds no text"):
        open_corpus(spec, cache)
    (tmp_path / "texts" / "image.png").write_bytes(b"\0\xff")
    with pytest.raises(WindtunnelError, match="texts holds no text"):
        open_corpus(spec, cache)


def test_too_little_training_text_is_refused(tmp_path: Path, cache: Path) -> None:
    texts = [f"document {n}" for n in range(2000) if is_for_validation(b"document %d" % n, 0.25)]
    spec = write_folder(tmp_path / "texts", texts)
    with pytest.raises(WindtunnelError, match="gave 0 training tokens, and at least 17 are needed"):
        open_corpus(spec, cache)


def test_no_validation_document_is_refused(tmp_path: Path, cache: Path) -> None:
    texts = [f"document {n}" for n in range(99) if not is_for_validation(b"document %d" % n, 0.25)]
    spec = write_folder(tmp_path / "texts", texts)
    with pytest.raises(WindtunnelError, match=r"data.validation_fraction: 0.25 of .* gave 0 valid"):
        open_corpus(spec, cache)


def test_one_long_file_is_split_by_its_pieces(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"Paragraph {n}.\n" + "words " * 100 + "\n\n" for n in range(2000)))
    corpus = open_corpus(DataSpec(source=str(path), validation_fraction=0.1), cache)
    pieces = documents_of(corpus.training) + documents_of(corpus.validation)
    assert sorted(pieces, key=lambda piece: int(piece.split()[1][:-1])) == sorted(
        pieces, key=path.read_text().index
    )
    assert "".join(sorted(pieces, key=path.read_text().index)) == path.read_text()
    assert 0.05 < corpus.validation.size / corpus.training.size < 0.2


def test_a_description_says_what_was_left_out(spec: DataSpec, cache: Path) -> None:
    (Path(spec.source) / "image.png").write_bytes(b"\x89PNG\0")
    asked = spec.model_copy(update={"validation_sequences": 10_000})
    corpus = open_corpus(asked, cache)
    sequences = (corpus.validation.size - 1) // 4
    assert corpus.description == (
        f"folder {spec.source}: 80 documents, {corpus.training.size:,} training and "
        f"{corpus.validation.size:,} validation tokens; left out as no text: 1; "
        f"only {sequences:,} of 10,000 validation sequences"
    )


def test_a_tokenizer_file_gives_other_tokens_under_another_hash(
    spec: DataSpec, cache: Path, tmp_path: Path
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.ByteLevelBPETokenizer()
    model.train_from_iterator(["document number 1"] * 3, vocab_size=400, show_progress=False)
    model.save(str(tmp_path / "tokenizer.json"))
    tokenized = spec.model_copy(update={"tokenizer": str(tmp_path / "tokenizer.json")})
    corpus, plain = open_corpus(tokenized, cache), open_corpus(spec, cache)
    assert corpus.content_hash != plain.content_hash
    assert corpus.training.dtype == np.uint16
    assert corpus.training.size < plain.training.size
    separator = corpus.vocabulary_size - 1
    first = corpus.training[: list(corpus.training).index(separator)].tolist()
    assert model.decode(first) == documents_of(plain.training)[0]


def test_a_cache_that_cannot_be_used_is_named(spec: DataSpec, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(WindtunnelError, match=r"cache.*cannot be read \(Not a directory\)"):
        open_corpus(spec, cache)


def test_needs_no_torch_and_no_optional_package() -> None:
    code = (
        "import json, sys, windtunnel.data;"
        "print(json.dumps([n for n in ('torch', 'pyarrow', 'zstandard', 'tokenizers')"
        " if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
