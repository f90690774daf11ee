"""Which column of a tuning table is what: told by the user, or guessed, with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.choice import Choice
from windtunnel.laws.reading.given import Column, flag, given_column, listed
from windtunnel.laws.reading.headings import Heading, parse_heading
from windtunnel.laws.reading.metric_columns import choose_metric
from windtunnel.laws.reading.named_columns import choose_named, choose_run
from windtunnel.laws.sweeps.names import AXES, NAMED, RULE, SETTINGS, STATUS, TEXTS

_SAID = "the heading says it"
# Where no heading fits, the last part of one may: `opt.lr`, `model/dim`.
_IN_SECTIONS = frozenset({"lr", "width", "depth", "weight_decay", "beta1", "beta2"})
_BY_LAWS = frozenset({"params", "tokens", "steps", "experts", "vocabulary", "weight_decay", "lr"})


def parse_sweep_columns(texts: Sequence[str], among: Sequence[str] = NAMED) -> dict[str, str]:
    """Read `width=dim,lr=opt.lr,loss=val`; a name without a heading means: none.

    Args:
        texts: What the user typed, once or several times.
        among: The names that may come.

    Raises:
        WindtunnelError: No `=`, a name that is not one of ours, or one that comes twice.
    """
    names = "|".join(among)
    found: dict[str, str] = {}
    for text in texts:
        for part in re.split(rf",\s*(?=(?:{names})\s*=)", text.strip()):
            name, equals, heading = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise WindtunnelError(f"--columns: '{part}' is not NAME=HEADING, such as lr=opt.lr")
            if name not in among:
                raise WindtunnelError(
                    f"--columns: no column is called '{name}'; choose from {', '.join(among)}"
                )
            if name in found:
                raise WindtunnelError(f"--columns: {name} is given twice")
            found[name] = heading
    return found


def choose_sweep_columns(
    numbers: Mapping[str, Numbers | None], given: Mapping[str, str], source: str
) -> dict[str, Column]:
    """Choose a column for each name that the table has one for.

    Parameters are guessed only where no width or depth is there, and steps only where no tokens or
    images are: they would say the same again.

    Args:
        numbers: Every column by its heading, as numbers; None for columns of text.
        given: Headings by name, from the user; an empty one for a name to leave out.
        source: For messages.

    Raises:
        WindtunnelError: A given column is not there or is text, no column can be the rate, the
            loss or a size, or the user has to choose between several.
    """
    chosen = {
        name: _given(name, heading, numbers, source) for name, heading in given.items() if heading
    }
    taken = {column.heading for column in chosen.values()}
    headings = {text: parse_heading(text) for text in numbers if text not in taken}
    for name in ("lr", *AXES, *SETTINGS, "seed", "status", "rule", "run", "loss"):
        if name in given or _said_already(name, chosen):
            continue
        choice = _choose(name, headings, numbers)
        if not choice.best and name in _IN_SECTIONS:
            last = {t: parse_heading(re.split(r"[./]", t)[-1]) for t in headings}
            choice = _choose(name, last, numbers)
        take_choice(name, choice, headings, chosen, source)
    for name, what in (("lr", "a learning rate"), ("loss", "a loss")):
        if name not in chosen:
            raise WindtunnelError(
                f"{source}: no column looks like {what}; name it: {flag(name, 'HEADING')}. There "
                f"are {listed(list(numbers))}"
            )
    if not any(name in chosen for name in AXES):
        raise WindtunnelError(
            f"{source}: no column looks like a size (width, depth, params, tokens ...); name one: "
            f"{flag('width', 'HEADING')}. There are {listed(list(numbers))}"
        )
    return chosen


def take_choice(
    name: str,
    choice: Choice,
    headings: dict[str, Heading],
    chosen: dict[str, Column],
    source: str,
) -> None:
    """Move the one best heading from those that are left to those that are chosen.

    Raises:
        WindtunnelError: Several are as good: the user has to choose.
    """
    if len(choice.best) > 1:
        raise WindtunnelError(
            f"{source}: which column is {name}: {listed(choice.best)}? Add "
            f"{flag(name, choice.best[0])}"
        )
    if choice.best:
        aside = f"; not {listed(choice.others)}" if choice.others else ""
        heading = choice.best[0]
        chosen[name] = Column(heading, headings.pop(heading), choice.reason + aside, given=False)


def _given(name: str, text: str, numbers: Mapping[str, Numbers | None], source: str) -> Column:
    if text not in numbers and text.replace(".", "/") in numbers:
        text = text.replace(".", "/")  # nested JSON, as its own users write it
    if name in TEXTS and text in numbers:
        return Column(text, parse_heading(text), "you named it", given=True)
    return given_column(name, text, numbers, source)


def _said_already(name: str, chosen: Mapping[str, Column]) -> bool:
    if name == "params":
        return "width" in chosen or "depth" in chosen
    if name == "steps":
        return "tokens" in chosen or "images" in chosen
    return name == "heads" and "width" in chosen


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
    if name == "run":
        return choose_run(headings)
    if name in _BY_LAWS:
        return choose_named(name, numeric, numbers)
    if name == "seed":
        return choose_named(name, headings, numbers) if headings else Choice()
    phrases = {**AXES, **SETTINGS, "status": STATUS, "rule": RULE}[name]
    among = headings if name in TEXTS else numeric
    return Choice(tuple(t for t, heading in among.items() if heading.phrase in phrases), _SAID)
