"""Plain text: which files are taken, and how one long file is cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from windtunnel.data.text import PIECE_BYTES, read_pieces, read_whole, source_files, text_files
from windtunnel.errors import WindtunnelError


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_library_leaves_out_tests_packages_and_other_files(tmp_path: Path) -> None:
    for name in (
        "os.py",
        "json/decoder.py",
        "Json.py",
        "test/test_os.py",
        "json/tests/a.py",
        "idlelib/idle_test/b.py",
        "site-packages/c.py",
        "x/dist-packages/d.py",
        "json/__pycache__/e.py",
        "readme.txt",
    ):
        write(tmp_path / name)
    taken = [path.relative_to(tmp_path).as_posix() for path in source_files(tmp_path)]
    assert taken == ["Json.py", "json/decoder.py", "os.py"]


def test_folder_takes_every_visible_file_in_one_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md", "a.txt", ".hidden", ".git/config", "a/.env"):
        write(tmp_path / name)
    taken = [path.relative_to(tmp_path).as_posix() for path in text_files(tmp_path)]
    assert taken == ["a/z.md", "a.txt", "b.txt"]


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"data.source: .*gone cannot be read"):
        text_files(tmp_path / "gone")


@pytest.mark.skipif(os.name != "posix", reason="makes a link that leads back to its own folder")
def test_linked_folders_are_not_entered(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [path.name for path in text_files(tmp_path)] == ["a.txt"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"caf\xe9", b"MZ\0\0"])
def test_what_is_not_text_is_none(tmp_path: Path, content: bytes) -> None:
    assert list(read_whole(write(tmp_path / "f", content))) == [None]


def test_a_whole_file_keeps_its_bytes(tmp_path: Path) -> None:
    content = "\ufeffÜber\r\n".encode()
    assert list(read_whole(write(tmp_path / "f", content))) == [content]


long_texts = st.builds(
    lambda runs: "".join(part * repeats for part, repeats in runs),
    st.lists(
        st.tuples(
            st.sampled_from(["a", "é", "漢", "🌀", "\n", "\n\n", "word ", "\r\n"]),
            st.integers(1, 3000),
        ),
        max_size=12,
    ),
)


@settings(deadline=None)  # writes files
@given(long_texts)
@example("")
@example("🌀" * 10_000)
@example(("x" * 4095 + "\n\n") * 3)
def test_pieces_join_to_the_text_and_keep_to_their_sizes(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = write(tmp_path_factory.mktemp("text") / "f.txt", text.encode())
    pieces = list(read_pieces(path))
    assert b"".join(pieces).decode() == text
    assert all(piece.decode() for piece in pieces)  # no empty one, none cut inside a character
    assert all(len(piece) <= 2 * PIECE_BYTES for piece in pieces)
    assert all(len(piece) >= PIECE_BYTES for piece in pieces[:-1])


def test_pieces_end_at_paragraphs_then_lines(tmp_path: Path) -> None:
    paragraph = b"a line\n" * 600 + b"\n"  # 4,201 bytes
    lines = b"a line\n" * 2000
    pieces = list(read_pieces(write(tmp_path / "f", paragraph * 2 + lines)))
    assert pieces[:2] == [paragraph, paragraph]
    assert all(piece.endswith(b"a line\n") for piece in pieces[2:])
    assert len(pieces[2]) == 4102  # the first line end at or after 4,096 bytes: 586 lines


def test_pieces_across_read_blocks(tmp_path: Path) -> None:
    text = ("número " * 9 + "\n") * 50_000  # 3.6 MB: several blocks
    pieces = list(read_pieces(write(tmp_path / "f", text.encode())))
    assert b"".join(pieces).decode() == text
    assert {len(piece) for piece in pieces[:-1]} == {4161}  # 57 lines of 73 bytes


@pytest.mark.parametrize("content", [b"caf\xe9 au lait", b"a" * 5000 + b"\xff" + b"b" * 20_000])
def test_a_long_file_that_is_not_utf8_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(WindtunnelError, match=r"f is not UTF-8 text \(near byte (0|4,096|\d,\d+)"):
        list(read_pieces(write(tmp_path / "f", content)))
