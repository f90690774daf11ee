"""What a column's heading says: its words, and the unit of the numbers under it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from windtunnel.laws.units import Unit, parse_unit

_BRACKETS = re.compile(r"[(\[{](?P<inside>[^()\[\]{}]*)[)\]}]")
_COPY = re.compile(r" \([0-9]+\)$")  # as headings that repeat are numbered
_IN = re.compile(r"\bin (?P<unit>[a-z -]+)$", re.IGNORECASE)
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SECTIONS = frozenset({"config", "cfg", "args", "hparams", "summary", "metrics"})  # of a logger
_SCALES = frozenset({"k", "m", "mn", "b", "bn", "g", "t", "millions", "billions", "trillions"})
_TIMES = frozenset({"time", "runtime", "walltime", "clock", "elapsed", "duration"})
_TIME_UNITS = frozenset({"s", "sec", "secs", "seconds", "min", "minutes", "h", "hours", "days"})
# Units that say what is counted, so they are words of the heading as well: `PF-days`, `EFLOPs`.
_FLOPS_WORDS = re.compile(
    r"(?<![a-z])(?:(?:pf|pflops?|petaflops?)[\s_/-]*s?[\s_/-]*days?|[kmgtpezy]flops?|(?:giga|tera|peta|exa|zetta)flops?)(?![a-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading taken apart.

    Attributes:
        words: In lower case, without the unit: `("n", "params")`.
        unit: Of the numbers below; None where the heading says none.
        unit_text: As it was written.
    """

    words: tuple[str, ...]
    unit: Unit | None = None
    unit_text: str = ""

    @property
    def phrase(self) -> str:
        """The words with single spaces."""
        return " ".join(self.words)


def parse_heading(text: str) -> Heading:
    """Take a heading apart: `params (B)`, `tokens_M`, `numParameters`, `compute in PF-days`."""
    for match in _BRACKETS.finditer(text):
        unit = parse_unit(match["inside"])
        if unit is not None:
            rest = text[: match.start()] + " " + text[match.end() :]
            return Heading(_words(rest), unit, match["inside"].strip())
    text = _COPY.sub("", text)
    inside = _IN.search(text)
    if inside is not None and (unit := parse_unit(inside["unit"])) is not None:
        return Heading(_words(text[: inside.start()]), unit, inside["unit"])
    flops = _FLOPS_WORDS.search(text)
    if flops is not None and (unit := parse_unit(flops[0].replace("_", "-"))) is not None:
        rest = text[: flops.start()] + " flops " + text[flops.end() :]
        return Heading(_words(rest), unit, flops[0])
    words = _words(text)
    timed = len(words) > 1 and words[-2] in _TIMES and words[-1] in _TIME_UNITS
    if timed or (len(words) > 1 and words[-1] in _SCALES):
        return Heading(words[:-1], parse_unit(words[-1]), words[-1])
    return Heading(words)


def _words(text: str) -> tuple[str, ...]:
    words = re.findall(r"[a-z0-9%]+", _HUMPS.sub(" ", text).lower())
    return tuple(words[1:] if len(words) > 1 and words[0] in _SECTIONS else words)
