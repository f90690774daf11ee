from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.spec import load_study
from windtunnel.studies.template import initialise


@pytest.mark.parametrize(
    "name",
    [
        "study",
        "my study",
        "Gr\u00f6\u00dfe",
        "\u65e5\u672c",
        "-x-",
        "...a",
        "'q\"uote",
        "a: b # c",
        "123",
        "no",
        "null",
    ],
)
def test_the_file_is_valid_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    path = initialise(tmp_path / name)
    spec = load_study(path)
    assert path == tmp_path / name / "study.yaml"
    assert spec.ladder.width == [32, 64, 128]


def test_the_study_is_called_after_its_folder(tmp_path: Path) -> None:
    assert load_study(initialise(tmp_path / "my study")).name == "my-study"


def test_an_existing_study_is_kept(tmp_path: Path) -> None:
    path = initialise(tmp_path)
    path.write_text("mine")
    with pytest.raises(WindtunnelError, match="exists already"):
        initialise(tmp_path)
    assert path.read_text() == "mine"


def test_every_key_of_the_spec_is_shown(tmp_path: Path) -> None:
    path = initialise(tmp_path)
    text = path.read_text()
    assert [key for key in load_study(path).model_dump() if f"{key}:" not in text] == []
