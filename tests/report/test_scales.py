from __future__ import annotations

from rich.console import Console

from windtunnel.report.scales import MOST_LINES, ScaleLine, scales_table


def printed(lines: list[ScaleLine]) -> list[str]:
    console = Console(width=120, record=True, file=None)
    with console.capture() as captured:
        console.print(scales_table(lines))
    return captured.get().splitlines()


def test_a_line_says_what_is_done_and_under_way_and_best() -> None:
    line = ScaleLine("mup", 64, 1_638_400, 5, (0.25, 0.5), 3, 2.3456, 0.0098)
    heading, row = printed([line])
    assert " ".join(heading.split()) == ("rule width length runs under way waiting best loss at lr")
    assert row.split() == ["mup", "64", "1.64M", "5", "25%,", "50%", "3", "2.346", "0.00980"]


def test_a_scale_without_a_loss_shows_a_dash() -> None:
    assert printed([ScaleLine("mup", 64, 1000, waiting=2)])[1].split() == [
        "mup", "64", "1k", "0", "2", "\u2013", "\u2013"
    ]  # fmt: skip


def test_of_many_scales_those_at_work_are_shown_and_the_last_of_the_others() -> None:
    ended = [ScaleLine("mup", width, 1000, done=1) for width in range(1, 31)]
    busy = [ScaleLine("mup", width, 1000, running=(0.5,)) for width in (40, 41)]
    widths = [int(row.split()[1]) for row in printed([*ended, *busy])[1:]]
    assert widths == [*range(30 - (MOST_LINES - 2) + 1, 31), 40, 41]
