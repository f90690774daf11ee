from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from windtunnel.report.content import StudyContent
from windtunnel.report.html import render_html

VOID = {"meta"}


class Page(HTMLParser):
    """Text by element, every attribute, and whether all elements close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, text):
        if self.open:
            self.words.setdefault(self.open[-1], []).append(text)


@pytest.fixture(scope="module")
def html(sample, pictures) -> str:
    return render_html(sample, pictures)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_words_come_first_then_pictures_then_tables(html):
    marks = ["Learning rate 0.0110 at base", "windtunnel init my-study", "<svg", "<table"]
    places = [html.index(mark) for mark in marks]
    assert places == sorted(places)


def test_every_section_is_there(page):
    assert page.words["h1"] == ["quickstart"]
    assert page.words["h2"] == [
        "Does the best learning rate stay put?",
        "Do activations keep their size as the model grows?",
        "What loss will the target reach?",
        "Best learning rates",
        "Transfer by axis",
        "Coordinate check",
        "Forecast and target",
        "What it cost",
        "Plan",
        "Environment",
        "Glossary",
    ]
    assert sum(name == "svg" for name, _ in page.elements) == 3


def test_numbers_say_what_the_study_found(page):
    cells = page.words["td"]
    for expected in (
        "1.620",
        "1.570 to 1.680",
        "+1.23 %",
        "yes",
        "4.10 \u00d7 10\u00b9\u2074",
        "4 min 30 s",
        "1/4",
        "0.12 %",
        "\u22120.28 to +0.07",
        "2,500,000",
    ):
        assert expected in cells, expected
    assert "0, 1" in page.words["dd"]


def test_numbers_are_aligned_right_and_words_are_not(html):
    assert '<td class="number">1/4</td>' in html
    assert "<td>hidden</td>" in html
    assert re.search(r"\.number\{text-align:right", html)


def test_nothing_outside_the_file_is_asked_for(page, html):
    for name, attributes in page.elements:
        assert name not in {"script", "link", "img", "iframe", "object", "a"}
        for key, value in attributes.items():
            if key in {"src", "href", "xlink:href", "srcset", "data", "action"}:
                assert value is not None and value.startswith("#")
    assert not re.search(r"@import|url\((?!#)", html)
    policy = next(a for n, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_dark_is_the_readers_choice_and_paper_is_white(html):
    assert "@media screen and (prefers-color-scheme:dark){:root{--paper:#14171c;" in html
    declared = set(re.findall(r"--([a-z0-9-]+):", html))
    assert set(re.findall(r"var\(--([a-z0-9-]+)\)", html)) <= declared


def test_pictures_are_described_by_their_captions(page):
    ids = {attributes.get("id") for _, attributes in page.elements}
    described = [a["aria-labelledby"] for n, a in page.elements if n == "svg"]
    assert len(described) == 3 and set(described) <= ids


HOSTILE = "<script>alert(1)</script>\"'&"


def hostile(value):
    """The same content with every string made hostile that no schema restricts."""
    if isinstance(value, dict):
        return {key: hostile(part) if key != "tone" else part for key, part in value.items()}
    if isinstance(value, list):
        return [hostile(part) for part in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_words_stay_words_everywhere(sample_value):
    value = hostile(sample_value)
    value["environment"] = {HOSTILE: {HOSTILE: HOSTILE}}
    value["glossary"] = [[HOSTILE, HOSTILE]]
    value["check"] = {HOSTILE: value["check"]["mup"]}
    value["transfer"] = {HOSTILE: value["transfer"]["mup"]}
    value["law"]["parameters"] = {HOSTILE: 1.0}
    content = StudyContent.from_json(value)
    html = render_html(content, [])
    page = Page(html)
    assert "<script" not in html
    assert page.words["h1"] == [HOSTILE]
    assert {name for name, _ in page.elements} == {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "footer",
        "section",
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
        "b",
        "span",
        "code",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
    }


def test_a_study_that_has_only_begun_makes_a_page(sample):
    content = StudyContent("new", "tokens", "loss", "mup", "adamw", "", glossary=())
    page = Page(render_html(content, []))
    assert page.words["h1"] == ["new"]
    assert "h2" not in page.words


def test_a_long_plan_starts_folded(sample_value):
    sample_value["plan"] *= 20
    html = render_html(StudyContent.from_json(sample_value), [])
    assert "<details><summary>40 parameters</summary>" in html


def test_the_room_needs_no_torch_and_draws_lazily():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import windtunnel.report.write, windtunnel.report.terminal, windtunnel.report.progress\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
