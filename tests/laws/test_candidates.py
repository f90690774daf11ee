from __future__ import annotations

import numpy as np
import pytest

from windtunnel.laws.candidates import ALL_ROWS, Candidate, candidates, kept_rows
from windtunnel.laws.forms import form_named

FORMS = [form_named("chinchilla"), form_named("coupled")]
FIRST, SECOND, NONE = np.array([1, 0, 0, 0], bool), np.array([0, 0, 1, 0], bool), np.zeros(4, bool)


def test_every_form_with_every_prior_the_plainest_alone_also_without() -> None:
    found = [(c.form.name, c.prior, c.rows) for c in candidates(FORMS, "auto", {"outlier": NONE})]
    assert found == [
        ("chinchilla", "published", ALL_ROWS),
        ("chinchilla", "balanced", ALL_ROWS),
        ("chinchilla", "none", ALL_ROWS),
        ("coupled", "published", ALL_ROWS),
        ("coupled", "balanced", ALL_ROWS),
    ]


def test_doubted_rows_are_left_out_one_rule_at_a_time_and_all_together() -> None:
    doubtful = {"under-trained": FIRST, "outlier": SECOND}
    found = candidates(FORMS[:1], "none", doubtful)
    kept = {c.rows: kept_rows(c.rows, doubtful, 4).tolist() for c in found}
    assert kept == {
        ALL_ROWS: [True] * 4,
        "without under-trained": [False, True, True, True],
        "without outlier": [True, True, False, True],
        "without under-trained or outlier": [False, True, False, True],
    }
    assert len(candidates(FORMS, "auto", doubtful)) == 4 * 5


def test_a_prior_by_name() -> None:
    (alone,) = candidates(FORMS[:1], "balanced", {})
    assert alone.beliefs == FORMS[0].priors["balanced"]
    assert Candidate(FORMS[0], "none", ALL_ROWS).beliefs == ()
    assert [c.prior for c in candidates(FORMS, "none", {})] == ["none", "none"]
    assert candidates(FORMS, "nobody's", {}) == []
    (weak,) = candidates(FORMS[:1], "weak", {})
    assert [belief.sd for belief in weak.beliefs] == pytest.approx([0.4 / 2**0.5, 0.4 * 2**0.5])
    (plain,) = candidates([form_named("power-params")], "auto", {})
    assert plain.prior == "none"
    assert plain.to_json() == {"form": "power-params", "prior": "none", "rows": ALL_ROWS}
