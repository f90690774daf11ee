"""Which columns fit a canonical name by their headings and the size of their values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.choice import Choice
from windtunnel.laws.reading.column_names import (
    NAMES,
    NOT_OR_WITH,
    ONLY_EMBEDDING,
    PARAMS,
    PARAMS_QUALIFIERS,
    RUN_NAMES,
    WEAK_NAMES,
)
from windtunnel.laws.reading.headings import Heading
from windtunnel.laws.units import Unit

# Counts outside these are not taken as such on a guess: a unit is missing, or it is another column.
_PLAUSIBLE = {"params": (1e3, 1e14), "tokens": (1e3, 1e17), "flops": (1e6, 1e30)}
# Of columns with a name of one letter or so, which may well be something else: D a width, say.
_LEAST_WEAK = {"params": 1e4, "tokens": 1e6, "flops": 1e10}
_LEAST_FRACTIONAL = 1e6  # counts below this are whole numbers, unless they are in millions or so
_SAID = "the heading says it"


def choose_named(
    name: str, headings: Mapping[str, Heading], numbers: Mapping[str, Numbers | None]
) -> Choice:
    """Choose among numeric columns.

    A column whose heading is the canonical name itself comes first, then those of the usual
    names, then those of a weak name with values of the right size.

    Args:
        name: Canonical name, but for `loss` and `run`.
        headings: Columns that may be taken.
        numbers: Their values.
    """
    usual = [text for text, heading in headings.items() if _fits(heading, name)]
    phrase = name.replace("_", " ")
    exact = [text for text in usual if headings[text].phrase == phrase]
    # A nominal size such as 1.3B gives way to a count.
    counts = [text for text in usual if (read := numbers[text]) and not read.own_unit.any()]
    best = exact or counts or usual
    if best:
        return Choice(tuple(best), _SAID, tuple(text for text in usual if text not in best))
    weak = [
        text
        for text, heading in headings.items()
        if heading.phrase in WEAK_NAMES.get(name, ())
        and plausible(name, numbers[text], heading.unit, _LEAST_WEAK[name])
    ]
    return Choice(tuple(weak), "its name and the size of its values fit")


def choose_run(headings: Mapping[str, Heading]) -> Choice:
    """The likeliest column of runs' names, of texts or numbers: all tell the same rows apart."""
    for phrase in RUN_NAMES:
        for text, heading in headings.items():
            if heading.phrase == phrase:
                return Choice((text,), _SAID)
    return Choice()


def plausible(name: str, numbers: Numbers | None, unit: Unit | None, least: float = 0.0) -> bool:
    """Whether the values may be counts of params, tokens or flops.

    Args:
        name: One of the three.
        numbers: The column; None where it holds texts.
        unit: What the heading says the numbers are in.
        least: What the largest value has to reach.
    """
    if numbers is None:
        return False
    finite = numbers.values[np.isfinite(numbers.values)]
    if not finite.size:
        return True
    factor = unit.factor if unit else 1.0
    low, high = _PLAUSIBLE[name]
    if unit is None and (finite != np.round(finite)).any():
        low = max(low, _LEAST_FRACTIONAL)
    return bool(max(low, least) <= factor * finite.max() <= high)


def _fits(heading: Heading, name: str) -> bool:
    if name == "params":
        return _counts_params(heading)
    in_tokens = heading.unit is not None and heading.unit.name == "tokens"
    if name == "batch_tokens" and in_tokens and "batch" in heading.words:
        return True
    return heading.phrase in NAMES[name]


def _counts_params(heading: Heading) -> bool:
    qualifiers = PARAMS_QUALIFIERS & frozenset(heading.words)
    if qualifiers & ONLY_EMBEDDING and not qualifiers & NOT_OR_WITH:
        return False  # the embedding's own parameters
    return " ".join(word for word in heading.words if word not in qualifiers) in PARAMS
