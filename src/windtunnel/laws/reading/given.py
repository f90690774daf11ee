"""Columns that the user names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.headings import Heading, parse_heading
from windtunnel.laws.table import CANONICAL
from windtunnel.laws.units import parse_unit


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
            require_canonical(name)
            if name in found:
                raise WindtunnelError(f"--columns: {name} is given twice")
            found[name] = heading
    return found


def require_canonical(name: str) -> None:
    """Refuse a name that is none of ours.

    Raises:
        WindtunnelError: It is not in `CANONICAL`.
    """
    if name not in CANONICAL:
        raise WindtunnelError(
            f"--columns: no column is called '{name}'; choose from {', '.join(CANONICAL)}"
        )


def given_column(
    name: str, text: str, numbers: Mapping[str, Numbers | None], source: str
) -> Column:
    """The column of a heading, which may be followed by a unit that the file does not say.

    Raises:
        WindtunnelError: It is not there, or holds texts where numbers are wanted.
    """
    heading = parse_heading(text)
    if text not in numbers:
        match = re.fullmatch(r"(?P<heading>.*\S)\s*\((?P<unit>[^()]*)\)", text)
        unit = parse_unit(match["unit"]) if match else None
        if match is None or unit is None or match["heading"] not in numbers:
            raise WindtunnelError(
                f"{source}: there is no column '{text}' to take as {name}; there are "
                f"{listed(list(numbers))}"
            )
        text = match["heading"]
        heading = Heading(parse_heading(text).words, unit, match["unit"])
    if name != "run" and numbers[text] is None:
        raise WindtunnelError(f"{source}: column '{text}' holds no numbers, so it cannot be {name}")
    return Column(text, heading, "you named it", given=True)


def flag(name: str, heading: str, unit: str = "") -> str:
    """What to type so that a column is taken."""
    written = f"{heading} ({unit})" if unit else heading
    quoted = written if re.fullmatch(r"[\w./-]*", written) else f'"{written}"'
    return f"--columns {name}={quoted}"


def listed(texts: Sequence[str], most: int = 12) -> str:
    """Headings in quotes, the first of them where there are many."""
    shown = ", ".join(f"'{text}'" for text in texts[:most])
    return shown + (f" and {len(texts) - most} more" if len(texts) > most else "")
