"""Numbers as people read them; the HTML, the figures and the terminal share these."""

from __future__ import annotations

import math
from datetime import datetime

_SUPERSCRIPTS = str.maketrans(
    "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
)
MINUS = "\u2212"
_INPUTS = {
    "params": "parameters",
    "unique_tokens": "unique tokens",
    "vocabulary_params": "parameters of the vocabulary",
    "flops": "FLOPs",
}
NOTHING = "\u2013"


def significant(value: float | None, digits: int = 3) -> str:
    """`value` to so many significant digits, plain between 1e-4 and 1e6: 0.0110, 1.25, 3.2e-9."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if not -4 <= exponent < 6:
        return scientific(value, digits - 1)
    return f"{value:,.{max(0, digits - 1 - exponent)}f}".replace("-", MINUS)


def scientific(value: float | None, decimals: int = 1) -> str:
    """`value` as 3.2 x 10^9, with a real times sign and superscripts."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{decimals}e}".split("e")
    power = str(int(exponent)).translate(_SUPERSCRIPTS)
    return f"{mantissa} \u00d7 10{power}".replace("-", MINUS)


def fixed(value: float | None, decimals: int = 3, *, sign: bool = False) -> str:
    """`value` with so many decimals and, if asked, its sign."""
    if value is None:
        return NOTHING
    return f"{value:{'+' if sign else ''}.{decimals}f}".replace("-", MINUS)


def interval(
    ci90: tuple[float | None, float | None] | None, decimals: int = 3, *, sign: bool = False
) -> str:
    """Both ends of a range with so many decimals; an end that is not finite is none at all."""
    if ci90 is None or None in ci90:
        return NOTHING
    return " to ".join(fixed(end, decimals, sign=sign) for end in ci90)


def factor(value: float) -> str:
    """A factor as a plan prints it: `1`, `1/4`, `2`, or three digits."""
    for number, shape in ((value, "{}"), (1 / value if value else 0.0, "1/{}")):
        if number >= 1 and math.isclose(number, round(number), rel_tol=1e-9):
            return shape.format(f"{round(number):,}")
    return significant(value)


def amount(value: float) -> str:
    """A count with a suffix: 960, 24.6k, 2.5M, 1.2B."""
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def quantity(value: float, digits: int = 3) -> str:
    """A count as words read it, 960, 2.5 M, 1.4 T; beyond a thousand T a power of ten.

    A thin no-break space keeps the suffix with its number.
    """
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 1e15:
        mantissa, power = f"{rounded:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        raised = f"10{str(int(power)).translate(_SUPERSCRIPTS)}"
        return raised if mantissa == "1" else f"{mantissa}\u00a0\u00d7\u00a0{raised}"
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(rounded) >= size:
            return f"{rounded / size:.12g}\u202f{suffix}"
    return f"{rounded:.12g}"


def input_words(name: str) -> str:
    """What an input of a law counts, to stand after a number."""
    return _INPUTS.get(name, name)


def power_of_two(value: float) -> str:
    """`value` as a power of two: 2 to the -6, or to the -6.5 if it is between."""
    exponent = math.log2(value)
    if math.isclose(exponent, round(exponent), abs_tol=1e-6):
        return "2" + str(round(exponent)).translate(_SUPERSCRIPTS)
    return f"2^{exponent:.1f}".replace("-", MINUS)


def moment(made_at: str) -> str:
    """An ISO 8601 time as `21 November 2026, 06:00 UTC`; anything else as it stands."""
    try:
        time = datetime.fromisoformat(made_at)
    except ValueError:
        return made_at
    zone = f" {time.tzname()}" if time.tzinfo else ""
    return f"{time.day} {time:%B %Y, %H:%M}{zone}"


def duration(seconds: float | None) -> str:
    """Seconds as 0.4 s, 42 s, 8 min 05 s, 3 h 20 min."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
