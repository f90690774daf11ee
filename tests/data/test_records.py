"""JSON lines and parquet: what is read, and what is refused in which words."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.data.records import read_json_lines, read_parquet
from windtunnel.errors import WindtunnelError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
zstandard = pytest.importorskip("zstandard")

ROWS = [{"text": "one", "n": 1}, {"text": "zwölf\n\nlines"}, {"text": ""}, {"text": None}]
DOCUMENTS = [b"one", "zwölf\n\nlines".encode(), b"", None]
LINES = "\n".join(json.dumps(row) for row in ROWS).encode()


def compress(ending: str, content: bytes) -> bytes:
    if ending == ".gz":
        return gzip.compress(content)
    return bytes(zstandard.compress(content)) if ending == ".zst" else content


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("last", [b"", b"\n", b"\n\n"])
def test_reads_the_same_from_every_compression(tmp_path: Path, ending: str, last: bytes) -> None:
    path = tmp_path / f"f.jsonl{ending}"
    path.write_bytes(compress(ending, LINES + last))
    assert list(read_json_lines(path, "text")) == DOCUMENTS


@settings(deadline=None)  # writes files
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_text_survives_every_format(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("records")
    lines = "".join(json.dumps({"body": text}) + "\n" for text in texts).encode()
    for ending in ("", ".gz", ".zst"):
        path = folder / f"f.jsonl{ending}"
        path.write_bytes(compress(ending, lines))
        assert [row and row.decode() for row in read_json_lines(path, "body")] == [
            text if text else b"" for text in texts
        ]
    table = pyarrow.table({"body": pyarrow.array(texts, pyarrow.string())})
    parquet.write_table(table, folder / "f.parquet")
    assert list(read_parquet(folder / "f.parquet", "body")) == [text.encode() for text in texts]


def test_two_frames_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl.zst"
    path.write_bytes(zstandard.compress(b'{"text": "a"}\n') + zstandard.compress(b'{"text": "b"}'))
    assert list(read_json_lines(path, "text")) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{'text': 1}", "line 3: not valid JSON"),
        (b"[1, 2]", "line 3: not a JSON object"),
        (
            b'{"body": "x", "id": 1}',
            r"line 3: no column 'text' \(there is: body, id\); set data.text_column",
        ),
        (b"{}", r"line 3: no column 'text' \(there is: nothing\)"),
        (b'{"text": 3}', "line 3: column 'text' is int, not text"),
        (b'{"text": "\\ud800"}', "line 3: column 'text' holds half a character"),
        (b'{"text": "caf\xe9"}', "line 3: not valid JSON"),
        (b"[" * 200_000, "line 3: not valid JSON"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"text": "fine"}\n\n' + line + b"\n")
    with pytest.raises(WindtunnelError, match=says) as caught:
        list(read_json_lines(path, "text"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("ending", "kind"), [(".gz", "gzip"), (".zst", "zstd")])
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"f.jsonl{ending}"
    lines = b"".join(b'{"text": "number %d"}\n' % n for n in range(100_000))
    whole = compress(ending, lines)
    for content in (whole[:-10], whole[: len(whole) // 2], b"this was never compressed"):
        path.write_bytes(content)
        with pytest.raises(WindtunnelError, match=f"f.jsonl{ending} is not a whole {kind} file"):
            list(read_json_lines(path, "text"))


def test_parquet_reads_nulls_and_every_row_group(tmp_path: Path) -> None:
    texts = [None if n % 7 == 0 else f"row {n}" for n in range(5000)]
    parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "f.parquet", row_group_size=700)
    expected = [text.encode() if text else None for text in texts]
    assert list(read_parquet(tmp_path / "f.parquet", "text")) == expected


def test_parquet_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    parquet.write_table(pyarrow.table({"body": ["a"], "id": [7]}), path)
    with pytest.raises(WindtunnelError, match=r"no column 'text' \(there is: body, id\)"):
        list(read_parquet(path, "text"))
    with pytest.raises(WindtunnelError, match="row 1: column 'id' is int, not text"):
        list(read_parquet(path, "id"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WindtunnelError, match="is not a whole parquet file"):
        list(read_parquet(path, "text"))


@pytest.mark.parametrize(
    ("package", "read", "name"),
    [
        ("pyarrow", read_parquet, "f.parquet"),
        ("zstandard", read_json_lines, "f.jsonl.zst"),
    ],
)
def test_a_missing_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, read: object, name: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(b"whatever")
    assert callable(read)
    with pytest.raises(WindtunnelError, match=rf"need {package}.*pip install 'windtunnel\[data\]'"):
        list(read(tmp_path / name, "text"))
