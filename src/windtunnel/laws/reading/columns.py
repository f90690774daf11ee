"""Which column is what: told by the user, or guessed from names and values with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.choice import Choice
from windtunnel.laws.reading.given import Column, flag, given_column, listed, require_canonical
from windtunnel.laws.reading.headings import Heading, parse_heading
from windtunnel.laws.reading.metric_columns import choose_metric
from windtunnel.laws.reading.named_columns import choose_named, choose_run, plausible
from windtunnel.laws.table import CANONICAL

_COUNTS = ("params", "tokens", "flops")


def choose_columns(
    numbers: Mapping[str, Numbers | None], given: Mapping[str, str], source: str
) -> dict[str, Column]:
    """Choose a column for each canonical name that the table has one for.

    Args:
        numbers: Every column by its heading, as numbers; None for columns of text.
        given: Headings by canonical name, from the user; an empty one for a name to leave out. A
            heading may be followed by a unit in brackets that the file does not say.
        source: For messages.

    Raises:
        WindtunnelError: A given column is not there or is text; or the user has to choose, in
            which case the message lists the candidates and the flag to add.
    """
    for name in given:
        require_canonical(name)
    chosen = {
        name: given_column(name, heading, numbers, source)
        for name, heading in given.items()
        if heading
    }
    taken = {column.heading for column in chosen.values()}
    headings = {text: parse_heading(text) for text in numbers if text not in taken}
    open_names = [name for name in CANONICAL if name not in given]
    _require_numbers(open_names, headings, numbers, source)
    questions = []
    for name in open_names:
        choice = _choose(name, headings, numbers)
        best = _without_copies(choice.best, numbers)
        if len(best) > 1:
            questions.append(f"which column is {name}: {listed(best)}? Add {flag(name, best[0])}")
        elif best:
            aside = f"; not {listed(choice.others)}" if choice.others else ""
            parsed = headings.pop(best[0])
            chosen[name] = Column(best[0], parsed, choice.reason + aside, given=False)
    for name in _COUNTS:
        if name in chosen:
            questions += _missing_unit(name, chosen[name], numbers[chosen[name].heading])
    if questions:
        raise WindtunnelError(f"{source}: {'; '.join(questions)}")
    return chosen


def _choose(
    name: str, headings: Mapping[str, Heading], numbers: Mapping[str, Numbers | None]
) -> Choice:
    if name == "run":
        return choose_run(headings)
    numeric = {
        text: heading
        for text, heading in headings.items()
        if (read := numbers[text]) is not None and not read.empty
    }
    return choose_metric(numeric) if name == "loss" else choose_named(name, numeric, numbers)


def _require_numbers(
    names: Sequence[str],
    headings: Mapping[str, Heading],
    numbers: Mapping[str, Numbers | None],
    source: str,
) -> None:
    """Refuse texts under a heading that is a canonical name itself, and an empty loss."""
    for name in (*_COUNTS, "loss"):
        if name not in names or name not in headings:
            continue
        read = numbers[name]
        if read is None or (name == "loss" and read.empty):
            raise WindtunnelError(
                f"{source}: column '{name}' holds no numbers; mend it, or say which column is "
                f"{name}: {flag(name, 'HEADING')}"
            )


def _without_copies(
    texts: tuple[str, ...], numbers: Mapping[str, Numbers | None]
) -> tuple[str, ...]:
    """Leave out a column whose values are another's."""
    kept: list[str] = []
    for text in texts:
        read = numbers[text]
        same = (
            other is not None
            and read is not None
            and np.array_equal(read.values, other.values, equal_nan=True)
            for other in (numbers[name] for name in kept)
        )
        if not any(same):
            kept.append(text)
    return tuple(kept)


def _missing_unit(name: str, column: Column, numbers: Numbers | None) -> list[str]:
    """Ask for the unit of numbers that are too small or too large for a count."""
    if column.parsed.unit is not None or numbers is None or plausible(name, numbers, None):
        return []
    finite = numbers.values[np.isfinite(numbers.values)]
    units, example = ("1e18 or PF-days", "1e18") if name == "flops" else ("M, B or T", "B")
    return [
        f"in which unit are the {name} in column '{column.heading}', {finite.min():g} to "
        f"{finite.max():g}? Add it ({units}, or 1 for none), such as "
        f"{flag(name, column.heading, example)}"
    ]
