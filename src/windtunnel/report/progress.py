"""The live progress of a study on standard error: a bar on a terminal, a few lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from windtunnel.report.estimate import Estimate
from windtunnel.report.scales import ScaleLine, scales_table

_SECONDS_BETWEEN_LINES = 10.0


class Step:
    """One long step of a study; `StudyProgress.step` makes it."""

    def __init__(
        self, description: str, estimate: Estimate, clock: Callable[[], float], display: _Display
    ) -> None:
        """Bind a step to where it is shown."""
        self.description = description
        self.estimate = estimate
        self.note = ""
        self.learned = ""
        self.scales: Sequence[ScaleLine] = ()
        self._clock = clock
        self._display = display
        self._closed: float | None = None
        display.begin(self)

    def update(
        self,
        completed: float,
        note: str = "",
        *,
        total: float | None = None,
        learned: str = "",
        scales: Sequence[ScaleLine] = (),
    ) -> None:
        """Say how much work is done.

        Args:
            completed: Work done so far, in the unit of the step's total.
            note: A few words on what is going on, such as `width 96, rate 2^-6`.
            total: The step's total, if it turned out to be another one.
            learned: A few words on what the work so far says.
            scales: What is trained at which scale, for a live table.
        """
        new_total = self.estimate.total if total is None else total
        self.estimate.advance(completed, new_total, self._clock())
        self.note = note
        self.learned = learned
        self.scales = scales
        self._display.update(self)

    def __enter__(self) -> Self:
        """Use the step as a block, if that reads better; it is closed at the block's end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the step, unless an error ends the block: then it isn't done."""
        if error is None:
            self.finish()

    def finish(self, note: str = "") -> None:
        """Close the step; the next step, or the end of the progress block, does it too."""
        if self._closed is None:
            self._closed = self._clock()
            self.note = note or self.note
            self._display.end(self)

    def timing(self) -> str:
        """Elapsed time and time left, as people read them."""
        if self._closed is not None:
            return f"{clock_time(self.estimate.elapsed(self._closed))} elapsed"
        now = self._clock()
        remaining = self.estimate.remaining(now)
        left = "-:--" if remaining is None else clock_time(remaining)
        return f"{clock_time(self.estimate.elapsed(now))} elapsed, {left} left"


class StudyProgress:
    """Shows the steps of a study while they run; standard output stays clean for results.

    On a terminal a live bar with elapsed time and time left; elsewhere a plain line at most every
    ten seconds; with `quiet` nothing at all. Use it as a context manager.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Choose how to show progress.

        Args:
            quiet: Show nothing, as `--json` asks.
            console: Where to write; standard error by default.
            clock: Reading of a clock in seconds that never goes back.
        """
        self._clock = clock
        self._current: Step | None = None
        self._display: _Display
        if quiet:
            self._display = _Display()
        else:
            console = console or Console(stderr=True)
            live = console.is_terminal and not console.is_dumb_terminal
            self._display = _Bar(console) if live else _Lines(console, clock)

    def __enter__(self) -> Self:
        """Start the display."""
        self._display.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the last step unless an error did, and give the terminal back."""
        if self._current is not None and error is None:
            self._current.finish()
        self._display.close()

    def say(self, line: str) -> None:
        """Write a line that stays, above the live bar if there is one."""
        self._display.say(line)

    def step(self, description: str, total: float, completed: float = 0.0) -> Step:
        """Begin the next step and close the one before.

        Args:
            description: What is being done, in a few words.
            total: All of its work, in any unit proportional to time (FLOPs or seconds): the time
                left is reckoned from it.
            completed: Work that earlier processes already did.

        Returns:
            The step; call its `update` as work gets done.
        """
        if self._current is not None:
            self._current.finish()
        estimate = Estimate(total=total, completed=completed, started=self._clock())
        self._current = Step(description, estimate, self._clock, self._display)
        return self._current


def clock_time(seconds: float) -> str:
    """Seconds as 0:42, 12:05 or 3:20:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class _Display:
    """Where steps are shown; this one shows nothing, as `quiet` asks."""

    def open(self) -> None:
        """Start showing."""

    def close(self) -> None:
        """Stop showing."""

    def say(self, line: str) -> None:
        """Write a line that stays."""

    def begin(self, step: Step) -> None:
        """A step began."""

    def update(self, step: Step) -> None:
        """Work was done."""

    def end(self, step: Step) -> None:
        """A step ended."""


class _Lines(_Display):
    """Plain lines for files and pipes: the start, the end, and now and then between."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._written = clock()

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def begin(self, step: Step) -> None:
        self._written = self._clock()
        self.say(f"{step.description} ...")

    def update(self, step: Step) -> None:
        if self._clock() - self._written >= _SECONDS_BETWEEN_LINES:
            self._written = self._clock()
            self.say(self._line(step, f"{step.estimate.share:.0%}"))

    def end(self, step: Step) -> None:
        self.say(self._line(step, "done"))

    def _line(self, step: Step, state: str) -> str:
        notes = "; ".join(words for words in (step.note, step.learned) if words)
        note = f" ({notes})" if notes else ""
        return f"{step.description}: {state}, {step.timing()}{note}"


class _Bar(_Display):
    """A live bar a step, and below them what the running one trains."""

    def __init__(self, console: Console) -> None:
        self._tasks: dict[Step, TaskID] = {}
        self._progress = _Scales(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            _Timing(),
            TextColumn(
                "{task.fields[step].note}",
                markup=False,
                style="dim",
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            redirect_stdout=False,  # results printed meanwhile belong on standard output
            redirect_stderr=True,
        )

    def open(self) -> None:
        self._progress.start()

    def close(self) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False)

    def begin(self, step: Step) -> None:
        self._tasks[step] = self._progress.add_task(step.description, total=1.0, step=step)
        self.update(step)

    def update(self, step: Step) -> None:
        self._progress.running = step
        self._progress.update(self._tasks[step], completed=step.estimate.share)

    def end(self, step: Step) -> None:
        self._progress.running = None
        self._progress.update(self._tasks[step], completed=1.0)


class _Scales(Progress):
    """The bars of all steps; below them the running one's scales and what it has learned."""

    def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
        self.running: Step | None = None
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.running is not None and self.running.scales:
            yield scales_table(self.running.scales)
            if self.running.learned:
                yield Text(f"so far: {self.running.learned}")


class _Timing(ProgressColumn):
    """Elapsed time and time left, drawn anew with every frame so that they tick."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """The running step's times."""
        step: Step = task.fields["step"]
        return Text(step.timing(), style="progress.remaining")
