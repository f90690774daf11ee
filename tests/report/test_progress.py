from __future__ import annotations

import io

import pytest
from rich.console import Console

from windtunnel.report.progress import StudyProgress, clock_time


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plain(clock: Clock) -> tuple[StudyProgress, io.StringIO]:
    out = io.StringIO()
    return StudyProgress(console=Console(file=out, width=200), clock=clock), out


def test_plain_lines_come_at_most_every_ten_seconds():
    clock = Clock()
    progress, out = plain(clock)
    with progress:
        step = progress.step("Tuning", total=100.0)
        for second in range(1, 101):
            clock.now = float(second)
            step.update(float(second), note=f"run {second}")
    lines = out.getvalue().splitlines()
    assert lines[0] == "Tuning ..."
    assert lines[1] == "Tuning: 10%, 0:10 elapsed, 1:30 left (run 10)"
    assert lines[-1] == "Tuning: done, 1:40 elapsed (run 100)"
    assert len(lines) == 12


def test_before_any_work_the_time_left_is_unknown():
    clock = Clock()
    progress, out = plain(clock)
    with progress:
        step = progress.step("Tuning", total=100.0, completed=50.0)
        clock.now = 11.0
        step.update(50.0)
        assert "Tuning: 50%, 0:11 elapsed, -:-- left" in out.getvalue()


def test_the_next_step_closes_the_one_before_once():
    progress, out = plain(Clock())
    with progress:
        with progress.step("One", total=1.0) as one:
            one.update(1.0)
        progress.step("Two", total=1.0)
        progress.say("a line that stays")
        progress.step("Three", total=1.0)
    assert out.getvalue().splitlines() == [
        "One ...",
        "One: done, 0:00 elapsed",
        "Two ...",
        "a line that stays",
        "Two: done, 0:00 elapsed",
        "Three ...",
        "Three: done, 0:00 elapsed",
    ]


def test_a_step_that_failed_is_not_called_done():
    progress, out = plain(Clock())
    with pytest.raises(KeyboardInterrupt), progress, progress.step("Tuning", total=1.0):
        raise KeyboardInterrupt
    assert out.getvalue() == "Tuning ...\n"


def test_quiet_says_nothing_and_standard_output_stays_clean(capsys):
    for quiet in (True, False):
        with StudyProgress(quiet=quiet) as progress:
            progress.step("Tuning", total=1.0).update(0.5, note="half")
            progress.say("line")
            print("result")
        seen = capsys.readouterr()
        assert seen.out == "result\n"
        assert ("Tuning" in seen.err) is not quiet


def test_on_a_terminal_a_bar_with_both_times_and_brackets_kept(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    out, clock = io.StringIO(), Clock()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with StudyProgress(console=console, clock=clock) as progress:
        step = progress.step("Tuning [red]", total=4e15)
        clock.now = 60.0
        step.update(1e15, note="width 96 [x]")
        clock.now = 65.0
        progress._display._progress.refresh()
        seen = out.getvalue()
    assert "Tuning [red]" in seen and "width 96 [x]" in seen
    assert " 25 %" in seen
    assert "1:05 elapsed, 2:55 left" in seen
    assert "100 %" in out.getvalue()


def test_a_result_printed_under_a_live_bar_goes_to_standard_output(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm-256color")
    out = io.StringIO()
    with StudyProgress(console=Console(file=out, force_terminal=True)) as progress:
        progress.step("Tuning", total=1.0)
        print("result")
    assert capsys.readouterr().out == "result\n"
    assert "result" not in out.getvalue()


def test_a_finished_steps_clock_stands_still(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True)
    with StudyProgress(console=console, clock=clock) as progress:
        one = progress.step("One", total=1.0)
        clock.now = 7.0
        progress.step("Two", total=1.0)
        clock.now = 500.0
        assert one.timing() == "0:07 elapsed"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (12_000, "3:20:00")]
)
def test_clock_time(seconds, text):
    assert clock_time(seconds) == text
