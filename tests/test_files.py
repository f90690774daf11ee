from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically, write_json


def only(path: Path) -> None:
    """Nothing but `path` may lie in its folder: no temporary file is left."""
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", ["grün\n", "grün\n".encode()])
def test_writes_text_and_bytes_into_a_new_folder(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomically(path, content)
    assert path.read_text(encoding="utf-8") == "grün\n"
    only(path)


def test_writes_what_a_function_writes_and_replaces_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"a much longer old content")
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    only(path)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_half_way_keeps_the_old_content(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def half(file: BinaryIO) -> None:
        file.write(b"half of the new")
        file.flush()
        raise failure

    with pytest.raises(failure):
        write_atomically(path, half)
    assert path.read_bytes() == b"old"
    only(path)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    seen: list[bytes] = []

    def slowly(file: BinaryIO) -> None:
        for part in (b"n", b"e", b"w"):
            file.write(part)
            file.flush()
            seen.append(path.read_bytes())

    with path.open("rb") as reader:
        write_atomically(path, slowly)
        assert reader.read() == b"old"
    assert seen == [b"old"] * 3
    assert path.read_bytes() == b"new"


def test_a_full_disk_is_explained_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WindtunnelError, match="no space left on the disk") as raised:
        write_atomically(path, "new")
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert path.read_text() == "old"
    only(path)


def test_a_file_where_a_folder_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WindtunnelError, match=r"cannot be written \(File exists\)"):
        write_atomically(tmp_path / "taken" / "file.txt", "new")


def test_json_is_readable_and_refuses_numbers_that_json_has_not(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"loss": 2.5, "runs": [1, None]})
    assert json.loads(path.read_text()) == {"loss": 2.5, "runs": [1, None]}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text())["loss"] == 2.5
    only(path)
