"""The page itself: whole, offline, in order, and the same each time."""

from __future__ import annotations

import re

import pytest

from windtunnel.laws.deciding.device import device_named
from windtunnel.report.memo.basis import Origin
from windtunnel.report.memo.findings import Question, find
from windtunnel.report.memo.page import render_memo, write_memo

ORIGIN = Origin(
    "windtunnel laws report <runs>.csv", "0.1.0", "ab" * 32, "2026-11-21T06:00:00+00:00"
)


@pytest.fixture(scope="module")
def found(runs_table):
    question = Question(
        {"params": 7e9, "tokens": 2e11},
        device=device_named("h100"),
        rate=2.2,
        served_tokens=1e13,
    )
    return find(runs_table, question)


@pytest.fixture(scope="module")
def html(found) -> str:
    return render_memo(found, ORIGIN)


def test_the_answer_comes_first_then_verdict_pictures_and_tables(html):
    marks = ["Train a model of", "Can it be believed?", "<svg", "Back-tests", "SHA-256"]
    places = [html.index(mark) for mark in marks]
    assert places == sorted(places)
    assert html.count("<svg") == 4
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", html)
    assert headings == [
        "Can it be believed?",
        "What does compute buy?",
        "The plan",
        "Which models reach the same loss?",
        "What does the law miss?",
        "Back-tests",
        "The law",
        "How well do the runs tell the parameters?",
        "What it was chosen from",
        "Rows",
        "What is assumed",
        "How to make it again",
    ]


def test_every_fold_stands_in_the_table(found, html):
    table = html[html.index("<h2>Back-tests") : html.index("<h2>The law")]
    folds = found.law.summary["backtest"]["by_fold"]
    assert table.count("<tr>") == 1 + len(folds)
    for fold in folds:
        assert f"{100 * fold['mean_abs_rel_error']:.2f} %" in table


def test_it_asks_nothing_of_the_network(html):
    assert not re.search(r"<(script|link|img|iframe|object|a)\b", html)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src &#x27;none&#x27;" in html


def test_no_number_is_left_in_a_computers_notation(html):
    words = re.sub(r"<(svg|style|code)\b.*?</\1>", "", html, flags=re.DOTALL)
    words = re.sub(r"<[^>]*>", " ", words)
    assert not re.search(r"\de[+-]\d", words), re.findall(r".{20}\de[+-]\d.{10}", words)
    assert not re.search(r"\bnan\b|\binf\b|None", words)


def test_hostile_words_stay_words(html):
    assert "report &lt;runs&gt;.csv" in html and "<runs>" not in html


def test_the_same_findings_make_the_same_page(found, html, tmp_path):
    write_memo(found, ORIGIN, tmp_path / "memo.html")
    assert (tmp_path / "memo.html").read_text(encoding="utf-8") == html


def test_prices_and_serving_are_named_as_assumed(html):
    assumed = html[html.index("What is assumed") :]
    assert "A GPU-hour costs 2.2, as given" in assumed
    assert "0.3 to 0.5 of the peak" in assumed
    assert "Serving takes 2 FLOPs" in assumed
    assert "With serving counted, train" in html
