"""Units as people write them after a number or in a heading: B, million, PF-days, %."""

from __future__ import annotations

import re
from dataclasses import dataclass

PF_DAY = 8.64e19  # FLOPs: 1e15 a second for a day

_SCALES = {
    "": 1.0,
    "k": 1e3,
    "m": 1e6,
    "mn": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "g": 1e9,
    "t": 1e12,
    "tn": 1e12,
    "thousand": 1e3,
    "thousands": 1e3,
    "million": 1e6,
    "millions": 1e6,
    "billion": 1e9,
    "billions": 1e9,
    "trillion": 1e12,
    "trillions": 1e12,
}
_NAMES = {
    "": "",
    "param": "params",
    "params": "params",
    "parameter": "params",
    "parameters": "params",
    "tok": "tokens",
    "token": "tokens",
    "tokens": "tokens",
    "flop": "FLOPs",
    "flops": "FLOPs",
}
_PREFIXES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
_LONG_PREFIXES = {"giga": 1e9, "tera": 1e12, "peta": 1e15, "exa": 1e18, "zetta": 1e21}
_PF_DAYS = ("pfday", "pfsday", "pflopday", "pflopsday", "petaflopday", "petaflopsday")
_OTHERS = {
    "%": (0.01, "%"),
    "percent": (0.01, "%"),
    "s": (1.0, "seconds"),
    "sec": (1.0, "seconds"),
    "secs": (1.0, "seconds"),
    "second": (1.0, "seconds"),
    "seconds": (1.0, "seconds"),
    "min": (60.0, "seconds"),
    "minutes": (60.0, "seconds"),
    "h": (3600.0, "seconds"),
    "hour": (3600.0, "seconds"),
    "hours": (3600.0, "seconds"),
    "day": (86400.0, "seconds"),
    "days": (86400.0, "seconds"),
    "nat": (1.0, "nats"),
    "nats": (1.0, "nats"),
    "nats/token": (1.0, "nats"),
    "bits": (1.0, "bits"),
    "bits/token": (1.0, "bits"),
    "bpb": (1.0, "bits per byte"),
    "bits/byte": (1.0, "bits per byte"),
    "bits per byte": (1.0, "bits per byte"),
    "ppl": (1.0, "perplexity"),
    "perplexity": (1.0, "perplexity"),
    "accuracy": (1.0, "accuracy"),
    "error": (1.0, "error"),
    "normalised loss": (1.0, "normalised loss"),
    "normalized loss": (1.0, "normalised loss"),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts.

    Attributes:
        factor: What the number is multiplied by.
        name: What is counted then: params, tokens, FLOPs, seconds, %, nats, bits, bits per byte,
            perplexity, accuracy, error, normalised loss; empty where only a scale was given.
    """

    factor: float
    name: str


def parse_unit(text: str) -> Unit | None:
    """The unit that a text such as `B`, `million tokens`, `PF-days` or `x1e9` names, or None."""
    words = " ".join(text.strip().lower().split())
    return _TABLE.get(words) or _TABLE.get(re.sub(r"[\s/-]", "", words)) or _power(words)


def _power(words: str) -> Unit | None:
    """`1e9`, `x1e9`, `10^9`, `x 10^9`, and 1."""
    match = re.fullmatch(
        r"[x\u00d7*]?\s*(?:1(?:\.0*)?e\+?(\d{1,2})|10\s*(?:\^|\*\*)\s*(\d{1,2})|1)", words
    )
    return match and Unit(10.0 ** int(match[1] or match[2] or 0), "")


def _table() -> dict[str, Unit]:
    table = {word: Unit(*unit) for word, unit in _OTHERS.items()}
    for scale, factor in _SCALES.items():
        for word, name in _NAMES.items():
            for gap in ("", " "):
                table[f"{scale}{gap}{word}".strip()] = Unit(factor, name)
    for prefix, factor in (_PREFIXES | _LONG_PREFIXES).items():
        for word in ("flop", "flops"):
            table[prefix + word] = Unit(factor, "FLOPs")
    for word in _PF_DAYS:
        table[word] = table[word + "s"] = Unit(PF_DAY, "FLOPs")
    del table[""]
    return table


_TABLE = _table()
