"""Which columns fit one canonical name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """Columns that fit, by their headings.

    Attributes:
        best: Those that fit equally well; one where the choice is clear, none where nothing fits.
        reason: Why.
        others: Those that fit less well.
    """

    best: tuple[str, ...] = ()
    reason: str = ""
    others: tuple[str, ...] = ()
