"""Which source a name means."""

from __future__ import annotations

import gzip
import sysconfig
from pathlib import Path

import pytest

from windtunnel.data.documents import find_documents
from windtunnel.errors import WindtunnelError
from windtunnel.spec import DataSpec


def documents(source: Path | str, column: str = "text") -> list[bytes | None]:
    return list(find_documents(DataSpec(source=str(source), text_column=column)).documents())


def test_stdlib_is_this_python_s_library_without_its_tests() -> None:
    source = find_documents(DataSpec())
    root = Path(sysconfig.get_path("stdlib"))
    names = [path.relative_to(root).as_posix() for path in source.files]
    assert {"os.py", "json/decoder.py"} <= set(names)
    assert names == sorted(names, key=lambda name: name.split("/"))
    assert not any(
        part in {"test", "tests", "site-packages"} for n in names for part in n.split("/")
    )
    assert source.label.startswith("standard library of Python 3.")
    assert (root / "os.py").read_bytes() in list(source.documents())


def test_a_folder_gives_a_document_a_file_and_none_for_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"second")
    (tmp_path / "a.md").write_bytes(b"first")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\0")
    assert documents(tmp_path) == [b"first", b"second", None]


def test_a_file_is_read_by_its_ending(tmp_path: Path) -> None:
    row = b'{"body": "hello"}\n'
    (tmp_path / "f.txt").write_bytes(row)
    (tmp_path / "f.jsonl").write_bytes(row)
    (tmp_path / "f.v2.jsonl.gz").write_bytes(gzip.compress(row))
    assert documents(tmp_path / "f.txt", "body") == [row]
    assert documents(tmp_path / "f.jsonl", "body") == [b"hello"]
    assert documents(tmp_path / "f.v2.jsonl.gz", "body") == [b"hello"]


def test_parquet_is_read_by_its_ending(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"body": ["hello"]}), tmp_path / "f.parquet")
    assert documents(tmp_path / "f.parquet", "body") == [b"hello"]


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "f.txt").write_bytes(b"at home")
    assert documents("~/f.txt") == [b"at home"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"data.source: .*gone.txt does not exist"):
        documents(tmp_path / "gone.txt")


def test_what_vanishes_between_finding_and_reading_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"here")
    source = find_documents(DataSpec(source=str(path)))
    path.unlink()
    with pytest.raises(WindtunnelError, match=r"data.source: .*f.txt cannot be read \(No such"):
        list(source.documents())
