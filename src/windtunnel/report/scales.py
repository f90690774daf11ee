"""A live table of what is trained at which scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from windtunnel.report.formatting import NOTHING, amount, fixed, significant

MOST_LINES = 14


@dataclass(frozen=True, slots=True)
class ScaleLine:
    """The runs of one step at one scale.

    Attributes:
        rule: The parametrization rule.
        width: The scale's width.
        units: Its training length, in the study's unit.
        done: Runs that have ended.
        running: Shares of the runs that are being trained which are done, 0 to 1.
        waiting: Runs that are decided on and wait.
        best: The least loss; None while there is none.
        lr: The learning rate that reached it.
    """

    rule: str
    width: int
    units: int
    done: int = 0
    running: tuple[float, ...] = ()
    waiting: int = 0
    best: float | None = None
    lr: float | None = None


def scales_table(lines: Sequence[ScaleLine]) -> Table:
    """A line a scale; of very many those where something is left to do, and the last others.

    Args:
        lines: Cheapest first.
    """
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("rule")
    for heading in ("width", "length", "runs", "under way", "waiting", "best loss", "at lr"):
        table.add_column(heading, justify="right")
    for line in _shown(lines):
        table.add_row(
            line.rule,
            str(line.width),
            amount(line.units),
            str(line.done),
            ", ".join(f"{share:.0%}" for share in line.running),
            str(line.waiting or ""),
            NOTHING if line.best is None else fixed(line.best),
            NOTHING if line.lr is None else significant(line.lr),
        )
    return table


def _shown(lines: Sequence[ScaleLine]) -> list[ScaleLine]:
    open_ones = [line for line in lines if line.running or line.waiting]
    ended = [line for line in lines if not (line.running or line.waiting)]
    room = max(0, MOST_LINES - len(open_ones))
    kept = {*open_ones[:MOST_LINES], *ended[len(ended) - room :]}
    return [line for line in lines if line in kept]
