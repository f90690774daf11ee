from __future__ import annotations

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.report.content import StudyContent
from windtunnel.report.write import write_report


def test_page_and_figures_are_written_and_nothing_else(report):
    assert report.name == "report.html"
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    folder = report.parent
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert names == [
        "figures/coordinate-check.png",
        "figures/coordinate-check.svg",
        "figures/law.png",
        "figures/law.svg",
        "figures/learning-rates.png",
        "figures/learning-rates.svg",
        "report.html",
    ]


def test_the_page_holds_the_same_figures_as_the_files(report, pictures):
    page = report.read_text(encoding="utf-8")
    for picture in pictures:
        assert picture.inline in page
        file = report.parent / "figures" / f"{picture.name}.svg"
        assert file.read_text(encoding="utf-8") == picture.svg


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "study").write_text("a file, not a folder")
    content = StudyContent("new", "tokens", "loss", "mup", "adamw", "")
    with pytest.raises(WindtunnelError, match="cannot be written"):
        write_report(content, tmp_path / "study")
