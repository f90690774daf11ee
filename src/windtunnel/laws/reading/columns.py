"""Which column is what: told by the user, or guessed from names and values with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.column_names import (
    NAMES,
    NOT_OR_WITH,
    ONLY_EMBEDDING,
    PARAMS,
    PARAMS_QUALIFIERS,
    RUN_NAMES,
    WEAK_NAMES,
)
from windtunnel.laws.reading.headings import Heading, parse_heading
from windtunnel.laws.reading.metric_columns import choose_metric
from windtunnel.laws.table import CANONICAL
from windtunnel.laws.units import Unit, parse_unit

# Counts outside these are not taken as such on a guess: a unit is missing, or it is another column.
_PLAUSIBLE = {"params": (1e3, 1e14), "tokens": (1e3, 1e17), "flops": (1e6, 1e30)}
_LEAST_FRACTIONAL = 1e6  # counts below this are whole numbers, unless they are in millions or so


@dataclass(frozen=True, slots=True)
class Column:
    """The column chosen for a canonical name.

    Attributes:
        heading: As in the file.
        parsed: The heading's words and unit.
        reason: Why it was chosen.
        given: Whether the user named it.
    """

    heading: str
    parsed: Heading
    reason: str
    given: bool


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Read `loss=C4 loss` or `params=N,tokens=D`; a name without a heading means: none.

    Raises:
        WindtunnelError: No `=`, or a name that is not one of the canonical ones.
    """
    names = "|".join(CANONICAL)
    found: dict[str, str] = {}
    for text in texts:
        for part in re.split(rf",\s*(?=(?:{names})\s*=)", text.strip()):
            name, equals, heading = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise WindtunnelError(
                    f"--columns: '{part}' is not NAME=HEADING, such as loss=\"C4 loss\""
                )
            _known(name)
            if name in found:
                raise WindtunnelError(f"--columns: {name} is given twice")
            found[name] = heading
    return found


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
        _known(name)
    chosen = {
        name: _given_column(name, heading, numbers, source)
        for name, heading in given.items()
        if heading
    }
    taken = {column.heading for column in chosen.values()}
    headings = {text: parse_heading(text) for text in numbers if text not in taken}
    numeric = {text: heading for text, heading in headings.items() if numbers[text] is not None}
    questions: list[str] = []
    for name in CANONICAL:
        if name in given:
            continue
        if name == "loss":
            choice = choose_metric(numeric)
            best, reason, others = choice.best, choice.reason, choice.others
        elif name == "run":
            best, reason, others = _runs(headings)
        elif name == "params":
            best, reason, others = _params(numeric, numbers)
        else:
            best, reason, others = _named(name, numeric, numbers)
        best = _without_copies(best, numbers)
        if len(best) > 1:
            questions.append(_question(name, best))
        elif best:
            aside = f"; not {_listed(others)}" if others else ""
            chosen[name] = Column(best[0], headings[best[0]], reason + aside, given=False)
            numeric.pop(best[0], None)
    questions += [
        question
        for name in _PLAUSIBLE
        if name in chosen
        for question in _missing_unit(name, chosen[name], numbers[chosen[name].heading])
    ]
    if questions:
        raise WindtunnelError(f"{source}: {'; '.join(questions)}")
    return chosen


def flag(name: str, heading: str, unit: str = "") -> str:
    """What to type so that a column is taken."""
    written = f"{heading} ({unit})" if unit else heading
    quoted = written if re.fullmatch(r"[\w./-]*", written) else f'"{written}"'
    return f"--columns {name}={quoted}"


def _known(name: str) -> None:
    if name not in CANONICAL:
        raise WindtunnelError(
            f"--columns: no column is called '{name}'; choose from {', '.join(CANONICAL)}"
        )


def _given_column(
    name: str, text: str, numbers: Mapping[str, Numbers | None], source: str
) -> Column:
    heading = parse_heading(text)
    if text not in numbers:
        match = re.fullmatch(r"(?P<heading>.*\S)\s*\((?P<unit>[^()]*)\)", text)
        unit = parse_unit(match["unit"]) if match else None
        if match is None or unit is None or match["heading"] not in numbers:
            raise WindtunnelError(
                f"{source}: there is no column '{text}' to take as {name}; there are "
                f"{_listed(list(numbers))}"
            )
        text = match["heading"]
        heading = Heading(parse_heading(text).words, unit, match["unit"])
    if name != "run" and numbers[text] is None:
        raise WindtunnelError(f"{source}: column '{text}' holds no numbers, so it cannot be {name}")
    return Column(text, heading, "you named it", given=True)


_Found = tuple[tuple[str, ...], str, tuple[str, ...]]  # the best, why, and others that fit


def _named(
    name: str, headings: Mapping[str, Heading], numbers: Mapping[str, Numbers | None]
) -> _Found:
    """A column of one of the usual names."""
    exact = [text for text in headings if text == name]
    usual = [text for text, heading in headings.items() if _fits(heading, name)]
    if exact or usual:
        best = exact or usual
        return tuple(best), "the heading says it", tuple(t for t in usual if t not in best)
    weak = [
        text
        for text, heading in headings.items()
        if heading.phrase in WEAK_NAMES.get(name, ())
        and _plausible(name, numbers[text], heading.unit)
    ]
    return tuple(weak), "its name and the size of its values fit", ()


def _fits(heading: Heading, name: str) -> bool:
    counts_tokens = heading.unit is not None and heading.unit.name == "tokens"
    if name == "batch_tokens" and counts_tokens and "batch" in heading.words:
        return True
    return heading.phrase in NAMES[name] or heading.phrase == name.replace("_", " ")


def _params(headings: Mapping[str, Heading], numbers: Mapping[str, Numbers | None]) -> _Found:
    """A count of parameters; several counts of different parameters fit equally."""
    if "params" in headings:
        others = [text for text, heading in headings.items() if _counts_params(heading)]
        return ("params",), "the heading says it", tuple(t for t in others if t != "params")
    found = [text for text, heading in headings.items() if _counts_params(heading)]
    if not found:
        weak = [
            text
            for text, heading in headings.items()
            if heading.phrase in WEAK_NAMES["params"]
            and _plausible("params", numbers[text], heading.unit)
        ]
        return tuple(weak), "its name and the size of its values fit", ()
    # A nominal size such as 1.3B gives way to a count.
    exact = [text for text in found if (read := numbers[text]) and not read.own_unit.any()]
    best = tuple(exact or found)
    return best, "the heading says it", tuple(text for text in found if text not in best)


def _counts_params(heading: Heading) -> bool:
    qualifiers = PARAMS_QUALIFIERS & frozenset(heading.words)
    if qualifiers & ONLY_EMBEDDING and not qualifiers & NOT_OR_WITH:
        return False  # the embedding's own parameters
    return " ".join(w for w in heading.words if w not in qualifiers) in PARAMS


def _runs(headings: Mapping[str, Heading]) -> _Found:
    """The likeliest column of runs' names: all of them tell the same rows apart."""
    for phrase in RUN_NAMES:
        found = [text for text, heading in headings.items() if heading.phrase == phrase]
        if found:
            return (found[0],), "the heading says it", ()
    return (), "", ()


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


def _plausible(name: str, numbers: Numbers | None, unit: Unit | None) -> bool:
    if numbers is None:
        return False
    finite = numbers.values[np.isfinite(numbers.values)]
    if not finite.size:
        return True
    factor = unit.factor if unit else 1.0
    low, high = _PLAUSIBLE[name]
    if unit is None and (finite != np.round(finite)).any():
        low = max(low, _LEAST_FRACTIONAL)
    return bool(low <= factor * finite.max() <= high)


def _missing_unit(name: str, column: Column, numbers: Numbers | None) -> list[str]:
    """Ask for the unit of numbers that are too small or too large for a count."""
    if column.parsed.unit is not None or _plausible(name, numbers, None) or numbers is None:
        return []
    finite = numbers.values[np.isfinite(numbers.values)]
    units = "1e18 or PF-days" if name == "flops" else "M, B or T"
    return [
        f"in which unit are the {name} in column '{column.heading}', {finite.min():g} to "
        f"{finite.max():g}? Add its unit ({units}, or 1 for none), such as "
        f"{flag(name, column.heading, '1e18' if name == 'flops' else 'B')}"
    ]


def _question(name: str, candidates: Sequence[str]) -> str:
    return f"which column is {name}: {_listed(candidates)}? Add {flag(name, candidates[0])}"


def _listed(texts: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(f"'{text}'" for text in texts[:most])
    return shown + (f" and {len(texts) - most} more" if len(texts) > most else "")
