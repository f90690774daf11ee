"""The byte tokenizer, and tokenizer files against the library's own answers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.data.tokenizers import byte_tokenizer, load_tokenizer
from windtunnel.errors import WindtunnelError

tokenizers = pytest.importorskip("tokenizers")

TEXTS = ["to be or not to be", "that is the question", "", "naïve 漢字"]


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    model = tokenizers.ByteLevelBPETokenizer()
    model.train_from_iterator(TEXTS * 3, vocab_size=300, show_progress=False)
    model.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_bytes_come_back(texts: list[str]) -> None:
    tokenizer = byte_tokenizer()
    encoded = tokenizer.encode([text.encode() for text in texts])
    assert [tokens.tobytes().decode() for tokens in encoded] == texts


def test_no_character_holds_the_separator() -> None:
    tokenizer = byte_tokenizer()
    every_character = "".join(chr(n) for n in range(0x110000) if not 0xD800 <= n < 0xE000)
    (tokens,) = tokenizer.encode([every_character.encode()])
    assert tokenizer.separator not in tokens
    assert tokens.max() < tokenizer.separator < tokenizer.vocabulary_size == 256
    assert tokenizer.dtype == np.uint8


def test_file_gives_the_library_s_ids_and_a_separator_above_them(tokenizer_file: Path) -> None:
    tokenizer = load_tokenizer(str(tokenizer_file))
    own = tokenizers.Tokenizer.from_file(str(tokenizer_file))
    encoded = tokenizer.encode([text.encode() for text in TEXTS])
    assert [tokens.tolist() for tokens in encoded] == [own.encode(text).ids for text in TEXTS]
    assert own.decode(encoded[3].tolist()) == TEXTS[3]
    assert tokenizer.separator == own.get_vocab_size()
    assert tokenizer.vocabulary_size == own.get_vocab_size() + 1
    assert tokenizer.dtype == np.uint16


def test_identity_is_the_file_s_content(tokenizer_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    copy.write_bytes(tokenizer_file.read_bytes())
    identity = load_tokenizer(str(tokenizer_file)).identity
    assert load_tokenizer(str(copy)).identity == identity
    copy.write_bytes(tokenizer_file.read_bytes() + b"\n")
    assert load_tokenizer(str(copy)).identity != identity


def test_refusals(tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WindtunnelError, match=r"data.tokenizer: nowhere.json cannot be read"):
        load_tokenizer("nowhere.json")
    other = tokenizer_file.with_name("other.json")
    other.write_text('{"hello": 1}')
    with pytest.raises(WindtunnelError, match=r"other.json is no tokenizers JSON file"):
        load_tokenizer(str(other))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(WindtunnelError, match=r"need tokenizers.*pip install 'windtunnel\[data\]'"):
        load_tokenizer(str(tokenizer_file))
