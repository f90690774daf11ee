from __future__ import annotations

import io

import pytest
from rich.console import Console

from windtunnel.report.content import StudyContent
from windtunnel.report.terminal import check_table, plan_table, print_plan, print_sentences


def printed(show, width: int = 110) -> str:
    out = io.StringIO()
    show(Console(file=out, width=width))
    return out.getvalue()


def test_every_verdict_is_a_line_and_the_next_command_comes_last(sample):
    lines = printed(lambda c: print_sentences(sample, c)).splitlines()
    assert len(lines) == len(sample.sentences) + 1
    for line, sentence in zip(lines, sample.sentences, strict=False):
        assert sentence.label in line and sentence.text in line
    assert lines[0].startswith("\u2713") and lines[3].startswith("!")
    assert lines[-1] == "Next: windtunnel init my-study"


def test_the_next_command_is_never_broken(sample_value):
    sample_value["next_command"] = "windtunnel run " + "x" * 100
    content = StudyContent.from_json(sample_value)
    assert printed(lambda c: print_sentences(content, c), width=40).endswith("x" * 100 + "\n")


def test_brackets_in_a_verdict_are_printed(sample_value):
    sample_value["sentences"] = [{"label": "[bold]", "text": "[0.1, 0.2] [red]x[/red]"}]
    content = StudyContent.from_json(sample_value)
    assert "[bold]  [0.1, 0.2] [red]x[/red]" in printed(lambda c: print_sentences(content, c))


def test_a_terminal_without_unicode_gets_plain_marks(sample):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_sentences(sample, Console(file=out, width=110))
    out.flush()
    assert out.buffer.getvalue().startswith(b"+  Set")


def test_plan_rows_show_factors_people_can_check(sample):
    lines = printed(lambda c: c.print(plan_table(sample.plan))).splitlines()
    assert lines[0].split("  ")[0] == "Parameter"
    row = lines[2].split()
    assert row == [
        "blocks.0.attention.output.weight",
        "hidden",
        "192",
        "x",
        "192",
        "0.707",
        "1/4",
        "4",
        "1/4",
    ]


@pytest.mark.parametrize("init", ["init", "init_std"])
def test_a_plan_says_what_it_scales_from_and_to(sample_value, init):
    rows = sample_value["plan"]
    for row in rows:
        row[init] = row.pop("init")
    plan = {
        "rule": "mup",
        "optimizer": "adamw",
        "base": {"width": 48, "depth": 2, "units": 0},
        "target": {"width": 192, "depth": 2, "units": 2_500_000},
        "parameters": rows,
    }
    text = " ".join(printed(lambda c: print_plan(plan, c)).split())
    assert "from width 48, depth 2 to width 192, depth 2, length 2.5M." in text
    assert "0.707" in text


def test_the_steepest_slope_leads_the_check_table(sample):
    lines = printed(lambda c: c.print(check_table(sample.check["sp"], rows=3))).splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:2] == ["head", "activation"]
    assert "+0.92" in lines[1] and "+0.88 to +0.96" in lines[1]
