from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.studies import quickstart
from windtunnel.studies.quickstart import (
    BATCH,
    BRIEF,
    FULL,
    LONGEST_TOKENS,
    SHORTEST_TOKENS,
    Tier,
    longest_tokens,
)


def cost(scale: float, tier: Tier = FULL) -> dict[int, float]:
    return {width: scale * width for width in (*tier.widths, tier.target_width)}


def longest(seconds: float, workers: int, scale: float = 1e-7) -> int:
    return longest_tokens(FULL, seconds_a_token=cost(scale), seconds=seconds, workers=workers)


@given(
    st.floats(60, 7200), st.floats(1, 4), st.integers(1, 4), st.integers(0, 8), st.floats(-9, -5)
)
def test_more_time_or_more_workers_never_shorten_the_ladder(
    seconds: float, times: float, workers: int, more: int, log10_cost: float
) -> None:
    here = longest(seconds, workers, 10**log10_cost)
    assert longest(seconds * times, workers, 10**log10_cost) >= here
    assert longest(seconds, workers + more, 10**log10_cost) >= here
    assert here % BATCH == 0
    assert SHORTEST_TOKENS <= here <= LONGEST_TOKENS


def test_it_is_capped_and_floored() -> None:
    assert longest(1e9, 4) == LONGEST_TOKENS
    assert longest(1, 1, scale=1.0) < LONGEST_TOKENS


def test_half_the_speed_is_half_the_length_between_cap_and_floor() -> None:
    lengths = [longest(540, 2, 2.0**-k * 1e-5) for k in range(20)]
    between = [n for n in lengths if min(lengths) < n < LONGEST_TOKENS]
    assert len(between) >= 2
    for slow, fast in pairwise(between):
        assert fast == pytest.approx(2 * slow, abs=2 * BATCH)


@pytest.mark.parametrize(("minutes", "tier"), [(2, BRIEF), (5, FULL), (9, FULL)])
def test_it_writes_a_study_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, tier: Tier
) -> None:
    monkeypatch.setattr(quickstart, "_seconds_a_token", lambda ws: {w: 1e-7 * w for w in ws})
    spec = quickstart.quickstart(tmp_path / "q", minutes=minutes, seed=3).spec
    assert tuple(spec.ladder.width) == tier.widths
    assert spec.target.width == tier.target_width
    assert 3 * len(spec.ladder.units) >= 12  # points of the law
    assert spec.target.units >= max(spec.ladder.units)
    assert spec.seed == 3


def test_an_existing_study_is_opened_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickstart, "_seconds_a_token", lambda ws: {w: 1e-7 * w for w in ws})
    first = quickstart.quickstart(tmp_path, minutes=9, seed=0)
    assert quickstart.quickstart(tmp_path, minutes=2, seed=5).spec == first.spec
