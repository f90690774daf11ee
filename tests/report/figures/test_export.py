from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from windtunnel.report.content import StudyContent
from windtunnel.report.figures.picture import draw_pictures
from windtunnel.report.figures.style import PALETTE


def test_the_three_pictures_in_a_readers_order(pictures):
    assert [p.name for p in pictures] == ["learning-rates", "coordinate-check", "law"]


def test_inlined_side_by_side_no_id_repeats_and_every_reference_resolves(pictures):
    page = "".join(p.inline for p in pictures)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 100
    references = set(re.findall(r'(?:url\(#|href="#)([^")]+)', page))
    assert references and references <= set(ids)


def test_inlined_colours_all_follow_the_page(pictures):
    for picture in pictures:
        assert set(re.findall(r"#[0-9a-f]{6}\b", picture.inline)) == set()
        used = set(re.findall(r"var\(--([a-z0-9-]+)\)", picture.inline))
        assert {"paper", "ink"} <= used <= {colour.name for colour in PALETTE}


def test_inlined_svg_is_well_formed_and_sized_by_the_page(pictures):
    for picture in pictures:
        root = ElementTree.fromstring(picture.inline)
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == f"{picture.name}-caption"
        assert root.get("viewBox") and root.get("width") is None and root.get("height") is None
        assert "<style" not in picture.inline


def test_words_stay_words(pictures):
    assert "final validation loss" in pictures[0].svg
    assert "forecast 1.620" in pictures[2].inline


def test_the_same_study_gives_the_same_bytes(sample, pictures):
    again = draw_pictures(sample)
    assert [(p.svg, p.png) for p in again] == [(p.svg, p.png) for p in pictures]


def test_files_stand_alone_on_white_paper(pictures):
    for picture in pictures:
        assert picture.svg.startswith("<?xml")
        assert "var(--" not in picture.svg
        assert picture.png.startswith(b"\x89PNG\r\n\x1a\n")


def test_names_of_modules_cannot_break_out_of_the_picture(sample_value):
    for point in sample_value["check"]["mup"]["curves"]:
        point["module"] = "</svg><script>alert(1)</script>$\\frac{$" + point["module"]
    picture = draw_pictures(StudyContent.from_json(sample_value))[1]
    ElementTree.fromstring(picture.inline)
    assert "<script" not in picture.inline
    assert "$\\frac{$" in picture.inline
