"""What a fit chooses from: forms, beliefs and rows together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.laws.forms.form import Belief, Form

NO_PRIOR = "none"
ALL_ROWS = "all rows"
BY_NAME = ("weak",)  # beliefs that are never tried unless asked for


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fit.

    Attributes:
        form: The form.
        prior: Name of its beliefs, or `none`.
        rows: Name of the set of rows.
    """

    form: Form
    prior: str
    rows: str

    @property
    def beliefs(self) -> Sequence[Belief]:
        """The beliefs themselves."""
        return self.form.priors.get(self.prior, ())

    def to_json(self) -> dict[str, str]:
        """Plain JSON values."""
        return {"form": self.form.name, "prior": self.prior, "rows": self.rows}


def candidates(
    forms: Sequence[Form], prior: str, doubtful: Mapping[str, np.ndarray]
) -> list[Candidate]:
    """Every form with every prior on every set of rows, the plainest first.

    Only the plainest form is tried without any belief: what a form has beyond it is what rows tell
    least of.

    Args:
        forms: From few parameters to many.
        prior: `auto` for all that a form has, or the name of one.
        doubtful: (n,) masks of rows that may be left out, by the rule that doubts them.
    """
    rules = [rule for rule, mask in doubtful.items() if mask.any()]
    sets = [ALL_ROWS, *(f"without {rule}" for rule in rules)]
    if len(rules) > 1:
        sets.append(f"without {' or '.join(rules)}")
    return [
        Candidate(form, name, rows)
        for form in forms
        for rows in sets
        for name in (_priors(form, form is forms[0]) if prior == "auto" else (prior,))
        if name == NO_PRIOR or name in form.priors
    ]


def _priors(form: Form, plainest: bool) -> tuple[str, ...]:
    tried = tuple(name for name in form.priors if name not in BY_NAME)
    return (*tried, NO_PRIOR) if plainest or not tried else tried


def kept_rows(rows: str, doubtful: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """(n,) true for the rows of a set."""
    keep = np.ones(count, dtype=bool)
    for rule, mask in doubtful.items():
        if rule in rows.removeprefix("without ").split(" or "):
            keep &= ~mask
    return keep
