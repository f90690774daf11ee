from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.comparing.holm import holm


def test_the_textbooks_example():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(found) == ["a", "b", "c", "d"]


@given(st.dictionaries(st.integers(), st.floats(0, 1), min_size=1, max_size=8))
def test_between_the_plain_p_and_bonferronis_and_in_the_same_order(p_values):
    found = holm(p_values)
    for name, p in p_values.items():
        assert p <= found[name] <= min(1.0, len(p_values) * p) + 1e-15
    ranked = sorted(p_values, key=p_values.__getitem__)
    assert [found[name] for name in ranked] == sorted(found.values())
