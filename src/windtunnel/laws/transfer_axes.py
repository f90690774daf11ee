"""One axis' verdict from the optima along it, and that verdict as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windtunnel.laws.optimum import Optimum
from windtunnel.laws.transfer import AxisVerdict, Drift, judge_axis, losses_paid


def judge_lines(
    axis: str,
    lines: Mapping[Any, Mapping[Any, Optimum]],
    base: float | None,
    target: float | None,
    joint: Drift | None = None,
) -> AxisVerdict:
    """Judge an axis from the optima along it, on every line of what else was varied.

    Args:
        axis: Its name.
        lines: Optima by the axis' value, by whatever else was varied; fitted together.
        base: The value whose optimum is kept; on a line without it, and where it is None, the
            line's least.
        target: The axis' value at the target; None where no target is in mind.
        joint: As for `judge_axis`.
    """
    losses = []
    for line in lines.values():
        if line:
            quoted_at = base if base is not None and base in line else min(line)
            losses += losses_paid(tuple(line), tuple(line.values()), quoted_at)
    return judge_axis(
        axis,
        [value for line in lines.values() for value in line],
        [optimum for line in lines.values() for optimum in line.values()],
        losses,
        target,
        [label for label, line in lines.items() for _ in line],
        joint,
    )


def axis_words(axis: Mapping[str, Any]) -> str:
    """The verdict on one axis as a sentence.

    Args:
        axis: `AxisVerdict.to_json()`.
    """
    name = str(axis["axis"])
    settle = f"; {axis['next_run']} would settle it" if axis["next_run"] else ""
    return (
        f"{name[:1].upper()}{name[1:]} {_VERDICT_WORDS[axis['verdict']]}: {axis['reason']}{settle}."
    )


_VERDICT_WORDS = {
    "transfers": "transfers",
    "drifts": "does not transfer",
    "cannot say": "cannot be judged",
}
