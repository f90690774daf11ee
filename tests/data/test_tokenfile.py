"""The token file: whole or refused, whatever was done to it."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.data.tokenfile import DamagedFileError, open_token_file, write_token_file
from windtunnel.data.tokenizers import Tokens
from windtunnel.errors import WindtunnelError

DOCUMENTS = [
    (False, np.array([1, 2, 3], dtype=np.uint32)),
    (True, np.array([4, 5], dtype=np.uint32)),
    (False, np.array([6], dtype=np.uint32)),
    (True, np.array([700], dtype=np.uint32)),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "f.tokens"
    write_token_file(path, "abc", np.dtype("<u2"), DOCUMENTS)
    return path


def test_gives_back_training_then_validation(path: Path) -> None:
    header, tokens = open_token_file(path, "abc")
    assert tokens.tolist() == [1, 2, 3, 6, 4, 5, 700]
    assert (header.training, header.validation, header.documents) == (4, 3, 4)
    assert tokens.dtype == np.uint16
    assert not tokens.flags.writeable
    assert path.stat().st_size == 4096 + 7 * 2
    assert [found.name for found in path.parent.iterdir()] == ["f.tokens"]


@settings(deadline=None)  # writes files
@given(st.data())
def test_any_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("tokens") / "f.tokens"
    write_token_file(path, "abc", np.dtype("<u2"), DOCUMENTS)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        open_token_file(path, "abc")


@pytest.mark.parametrize("size", [0, 1, 63, 64, 4095, 4096, 4097, 4109])
def test_any_truncation_is_noticed(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedFileError, match="checksum"):
        open_token_file(path, "abc")


def test_what_was_appended_or_zeroed_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for damaged in (content + b"\0", bytes(len(content)), content + content):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError):
            open_token_file(path, "abc")


def test_a_whole_file_under_another_name_is_noticed(path: Path) -> None:
    with pytest.raises(DamagedFileError, match="another source"):
        open_token_file(path, "abd")


def test_no_file_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_token_file(tmp_path / "f.tokens", "abc")


def test_a_failure_midway_leaves_what_was_there(path: Path) -> None:
    before = path.read_bytes()

    def failing() -> list[tuple[bool, Tokens]]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WindtunnelError, match="no space left"):
        write_token_file(path, "abc", np.dtype("<u2"), (failing() for _ in range(1)))  # type: ignore[misc]
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["f.tokens"]
