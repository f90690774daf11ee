"""A comparison in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from windtunnel.comparing.compare_methods import CellVerdicts, MethodComparison
from windtunnel.comparing.judge import MethodAt
from windtunnel.comparing.paired import Paired
from windtunnel.comparing.seeds_needed import MOST_SEEDS, POWER, SeedsNeeded
from windtunnel.comparing.speed_up import SpeedUp
from windtunnel.comparing.trend import Trend
from windtunnel.laws.deciding.estimate import Estimate


def comparison_words(found: MethodComparison) -> list[str]:
    """What was read, a sentence for each verdict, the trends, and what else is to be known."""
    lines = [_read(found), *_columns(found)]
    for cell, one in found.headlines:
        lines.append(verdict_sentence(found, cell, one))
        lines += _speed_ups(found, one)
        lines += _elsewhere(found, cell, one)
        said = found.trends[cell.cell.workload, one.method]
        lines += _trend(one.method, said)
    lines += [f"Flag: {flag.sentence}." for flag in found.flags]
    if not any(run.stage == "tuning" for run in found.table.runs):
        lines.append(
            f"The table has no tuning runs (a column 'stage' would tell them), so whether "
            f"{found.baseline} was tuned as well as the others can't be told."
        )
    return [*lines, *found.table.remarks]


def verdict_sentence(found: MethodComparison, cell: CellVerdicts, one: MethodAt) -> str:
    """The verdict on one method, with its numbers, doubts, and the seeds that would decide."""
    where = f" at {cell.cell.name}" if cell.cell.name else ""
    if one.difference is None or one.length is None:
        return f"Of {one.method} nothing can be said: {one.reason}."
    where += f" after {one.length:.3g} {found.table.unit}"
    numbers = f"{_numbers(one.difference, one.method, found.baseline)}; {_p(one, found)}"
    if one.verdict != "no difference shown":
        said = f"{one.method} is {one.verdict} than {found.baseline}{where}: {numbers}."
        if one.within:
            said += f" It is less than the {_percent(found.effect)} asked about."
        loser = found.baseline if one.verdict == "better" else one.method
        doubts = [flag for flag in found.flags if flag.method == loser]
        if doubts:
            said += f" But {loser} may be untuned: {'; '.join(flag.sentence for flag in doubts)}."
        return said
    said = f"No difference between {one.method} and {found.baseline} is shown{where}: {numbers}."
    effect = f"{_percent(found.effect)} of the loss"
    if one.within:
        return f"{said} Any is smaller than {effect}: the 90 % range says so."
    if one.needed is not None:
        said += f" {_needed(one, effect)}"
    return said


def _read(found: MethodComparison) -> str:
    final = [run for run in found.table.runs if run.stage == "final"]
    gone = sum(math.isinf(run.loss) for run in final)
    failed = f", {gone} of them diverged" if gone else ""
    count = len(found.cells)
    return (
        f"{found.table.source}: {len(final)} finished runs{failed} of "
        f"{', '.join(found.table.methods)} at {count} scale{'s' if count > 1 else ''}."
    )


def _columns(found: MethodComparison) -> list[str]:
    guessed = [f"{use.name} = '{use.heading}'" for use in found.table.uses if not use.given]
    if not guessed:
        return []
    return [f"Guessed columns: {', '.join(guessed)}. Correct one with --columns NAME=HEADING."]


def _numbers(difference: Paired, method: str, baseline: str) -> str:
    if difference.mean is None or difference.ci90 is None:
        own, other = difference.diverged
        return (
            f"{own} of {difference.seeds} runs of {method} and {other} of {baseline} diverged, so "
            "the losses have no mean"
        )
    share = Estimate(difference.mean, difference.ci90).through(math.expm1)
    low, high = share.ci90
    ends = f"{100 * low:+.2g} to {100 * high:+.2g}"
    return f"{_signed(share.value)} of the loss (90 % range {ends})"


def _p(one: MethodAt, found: MethodComparison) -> str:
    assert one.difference is not None and one.p is not None, "a verdict has both"
    tested = sum(other.p is not None for _, other in found.headlines)
    corrected = f" after Holm's correction over {tested}" if tested > 1 else ""
    return f"{one.difference.seeds} seeds, {one.difference.test}, p {one.p:.2g}{corrected}"


def _needed(one: MethodAt, effect: str) -> str:
    assert one.difference is not None and one.needed is not None, "as the caller has checked"
    seeds = one.difference.seeds
    often = f"shows a difference of {effect} {100 * POWER:.0f} % of the time"
    said = f"{_seeds(one.needed, seeds)} {often}"
    if one.needed_seen is not None:
        said += f", and one as large as the one seen with {_more(one.needed_seen, seeds)}"
    return f"{said}."


def _seeds(needed: SeedsNeeded, seeds: int) -> str:
    low, high = (_count(end) for end in needed.ci90)
    spread = f"({low} to {high} in all, by the spread's own range)"
    if needed.seeds is not None and needed.seeds <= seeds:
        return f"So many seeds {spread}"
    return f"{_capital(_more(needed, seeds))} would decide {spread}: that"


def _more(needed: SeedsNeeded, seeds: int) -> str:
    if needed.seeds is None:
        return f"more than {MOST_SEEDS} seeds"
    return f"{max(0, needed.seeds - seeds)} more seeds"


def _speed_ups(found: MethodComparison, one: MethodAt) -> list[str]:
    if one.difference is None:
        return []
    said = [speed for speed in one.speed_ups if speed.estimate is not None]
    lines = []
    if said:
        parts = ", ".join(_speed(speed, found.table.unit) for speed in said)
        lines.append(f"Speed-up of {one.method}, to one loss: {parts} (90 % ranges).")
    refused = dict.fromkeys(speed.reason for speed in one.speed_ups if speed.reason)
    lines += [f"No speed-up of {one.method} can be said: {reason}." for reason in refused]
    if one.state is not None:
        lines.append(
            f"Memory: {one.method}'s state takes {one.state:.2f} times {found.baseline}'s bytes."
        )
    return lines


def _speed(speed: SpeedUp, unit: str) -> str:
    assert speed.estimate is not None, "the others are refused"
    low, high = speed.estimate.ci90
    what = {"units": unit, "flops": "FLOPs", "seconds": "wall time"}[speed.measure]
    return f"{speed.estimate.value:.2f} times in {what} ({low:.2f} to {high:.2f})"


def _elsewhere(found: MethodComparison, here: CellVerdicts, one: MethodAt) -> list[str]:
    others = [
        (cell, next(other for other in cell.methods if other.method == one.method))
        for cell in found.cells
        if not cell.headline and cell.cell.workload == here.cell.workload
    ]
    if not others:
        return []
    parts = [
        f"{cell.cell.name}: {other.verdict}"
        + (
            f" ({_signed(math.expm1(other.difference.mean))})"
            if other.difference is not None and other.difference.mean is not None
            else ""
        )
        for cell, other in others
    ]
    return [f"At the smaller scales {one.method} is, each scale by itself: {'; '.join(parts)}."]


def _trend(method: str, said: Trend) -> list[str]:
    if said.slope is None:
        return [f"How {method}'s speed-up goes on with {said.axis} can't be said: {said.reason}."]
    low, high = said.slope.ci90
    power = f"as {said.axis} to the power {said.slope.value:+.2f} ({low:+.2f} to {high:+.2f})"
    shown = {
        "grows": f"grows, {power}",
        "shrinks": f"shrinks, {power}",
        "no trend shown": f"shows no trend, {power}",
    }[said.verdict]
    line = f"{method}'s speed-up {shown}"
    if said.forecast is not None and said.target is not None:
        low, high = said.forecast.ci90
        line += (
            f"; at {said.axis} {said.target:.3g} it is forecast to be "
            f"{said.forecast.value:.2f} times ({low:.2f} to {high:.2f})"
        )
    elif said.target is not None:
        line += f"; at {said.axis} {said.target:.3g} it can't be said: {said.reason}"
    return [f"{line}."]


def _signed(share: float) -> str:
    return f"{100 * share:+.2g} %"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(seeds: int | None) -> str:
    return f"more than {MOST_SEEDS}" if seeds is None else str(seeds)


def overall_sentence(found: MethodComparison) -> str:
    """One sentence over all methods."""
    by_verdict: dict[str, list[str]] = {}
    for cell, one in found.headlines:
        name = f"{one.method} ({cell.cell.workload})" if cell.cell.workload else one.method
        by_verdict.setdefault(one.verdict, []).append(name)
    parts = [
        f"{word}: {_listed(by_verdict[word])}"
        for word in ("better", "worse", "no difference shown", "cannot say")
        if word in by_verdict
    ]
    return f"Against {found.baseline}, {'; '.join(parts)}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
