"""Which column of a table of several methods' runs is what."""

from __future__ import annotations

from collections.abc import Mapping

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.choice import Choice
from windtunnel.laws.reading.column_names import NAMES
from windtunnel.laws.reading.given import Column, flag, given_column, listed
from windtunnel.laws.reading.headings import Heading, parse_heading
from windtunnel.laws.reading.metric_columns import choose_metric
from windtunnel.laws.reading.named_columns import choose_named
from windtunnel.laws.sweeps.columns import take_choice
from windtunnel.laws.sweeps.names import AXES, SETTINGS, STATUS

_SAID = "the heading says it"
LENGTHS = ("tokens", "images", "steps", "flops")
SIZES = ("width", "depth", "heads", "experts", "vocabulary")
MEASURES = ("params", "flops", "seconds", "state_bytes")
HYPERPARAMETERS = ("lr", *SETTINGS)
TEXTS = ("method", "seed", "status", "stage", "workload")
COLUMNS = (
    "method",
    "seed",
    "loss",
    "tokens",
    "images",
    "steps",
    *SIZES,
    *MEASURES,
    "status",
    "stage",
    "workload",
    *HYPERPARAMETERS,
)


def _phrases(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.split(","))


_NAMES: Mapping[str, frozenset[str]] = {
    **AXES,
    **SETTINGS,
    "method": _phrases("method, optimizer, optimiser, algorithm, variant, opt"),
    "status": STATUS,
    "stage": _phrases("stage, purpose, phase"),
    "workload": _phrases("workload, task, benchmark, problem"),
    "state_bytes": _phrases("""
        state bytes, optimizer state bytes, optimiser state bytes, state memory,
        optimizer state memory, optimizer memory
    """),
}
_BY_LAWS = frozenset(NAMES) & frozenset(COLUMNS)


def choose_columns(
    numbers: Mapping[str, Numbers | None], given: Mapping[str, str], source: str
) -> dict[str, Column]:
    """Choose a column for each name that the table has one for.

    Args:
        numbers: Every column by its heading, as numbers; None for columns of text.
        given: Headings by name, from the user; an empty one for a name to leave out.
        source: For messages.

    Raises:
        WindtunnelError: A given column is not there or is text, there is none for the method, the
            seed or the loss, or the user has to choose between several.
    """
    chosen = {
        name: _given(name, heading, numbers, source) for name, heading in given.items() if heading
    }
    taken = {column.heading for column in chosen.values()}
    headings = {text: parse_heading(text) for text in numbers if text not in taken}
    for name in COLUMNS:
        if name in given:
            continue
        choice = _choose(name, headings, numbers)
        take_choice(name, choice, headings, chosen, source)
    for name, what in (
        ("method", "the methods' names"),
        ("seed", "seeds, which pair the runs"),
        ("loss", "a loss"),
    ):
        if name not in chosen:
            raise WindtunnelError(
                f"{source}: no column looks like {what}; name it: {flag(name, 'HEADING')}. There "
                f"are {listed(list(numbers))}"
            )
    return chosen


def _given(name: str, text: str, numbers: Mapping[str, Numbers | None], source: str) -> Column:
    if name in TEXTS and text in numbers:
        return Column(text, parse_heading(text), "you named it", given=True)
    return given_column(name, text, numbers, source)


def _choose(
    name: str, headings: Mapping[str, Heading], numbers: Mapping[str, Numbers | None]
) -> Choice:
    numeric = {
        text: heading
        for text, heading in headings.items()
        if (read := numbers[text]) is not None and not read.empty
    }
    if name == "loss":
        return choose_metric(numeric)
    if name in _BY_LAWS:
        return choose_named(name, headings if name == "seed" else numeric, numbers)
    if name == "params":
        return choose_named(name, numeric, numbers)
    among = headings if name in TEXTS else numeric
    return Choice(tuple(t for t, heading in among.items() if heading.phrase in _NAMES[name]), _SAID)
