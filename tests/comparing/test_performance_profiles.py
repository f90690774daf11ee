from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.comparing.performance_profiles import performance_profiles
from windtunnel.comparing.tracks import external_time, self_tuning_time
from windtunnel.errors import WindtunnelError

INF = math.inf
TIMES = {"a": {"x": 1.0, "y": 4.0, "z": 3.0}, "b": {"x": 2.0, "y": 2.0, "z": INF}}


def test_known_profiles():
    found = performance_profiles(TIMES)
    assert found["a"].ratios == {"x": 1.0, "y": 2.0, "z": 1.0}
    assert found["b"].ratios == {"x": 2.0, "y": 1.0, "z": INF}
    assert [found["a"].share(f) for f in (1, 1.99, 2)] == pytest.approx([2 / 3, 2 / 3, 1])
    # a: (3 + 2 + 3) / 3 / 3; b: (2 + 3 + 0) / 3 / 3.
    assert found["a"].score == pytest.approx(8 / 9)
    assert found["b"].score == pytest.approx(5 / 9)
    assert found["b"].to_json()["ratios"]["z"] is None


@given(
    st.lists(
        st.lists(st.floats(0.1, 100) | st.just(INF), min_size=3, max_size=3), min_size=1, max_size=4
    )
)
def test_the_score_is_the_area_under_the_profile(rows):
    times = {f"m{i}": dict(zip("xyz", row, strict=True)) for i, row in enumerate(rows)}
    factors = np.linspace(1, 4, 3001)
    for profile in performance_profiles(times).values():
        area = np.mean([profile.share(factor) for factor in factors])
        assert profile.score == pytest.approx(area, abs=2e-3)


def test_a_held_out_variant_that_fails_loses_its_workload():
    held_out = {"a": {"x": 9.0, "y": 1.0, "z": 1.0}, "b": {"x": 2.0, "y": 1.0, "z": 0.1}}
    found = performance_profiles(TIMES, held_out=held_out)
    # a takes 4.5 times b's time on x's variant; b's 0.1 on z's counts not, for it never reached z.
    assert found["a"].ratios == {"x": INF, "y": 2.0, "z": 1.0}
    assert found["b"].ratios == {"x": 1.0, "y": 1.0, "z": INF}


def test_what_is_wrong_with_times():
    with pytest.raises(WindtunnelError, match="no times"):
        performance_profiles({})
    with pytest.raises(WindtunnelError, match=r"b and the others .*\(y\)"):
        performance_profiles({"a": {"x": 1.0, "y": 1.0}, "b": {"x": 1.0}})
    with pytest.raises(WindtunnelError, match="a on x: 0 is no time above 0"):
        performance_profiles({"a": {"x": 0.0}})
    with pytest.raises(WindtunnelError, match="the same methods and workloads"):
        performance_profiles(TIMES, held_out={"a": TIMES["a"]})


def test_the_external_track_takes_the_median_of_the_fastest():
    studies = [[9, 5, INF, 7, 8], [6] * 5, [INF] * 5, [4, 9, 9, 9, 9], [9, 9, 9, 9, 7]]
    assert external_time(studies) == 6
    assert external_time([[INF] * 5] * 3 + [[1.0] * 5] * 2) == INF
    with pytest.raises(WindtunnelError, match="study 2 has 6 trials and needs 5"):
        external_time([[1.0] * 5, [1.0] * 6, *[[1.0] * 5] * 3])
    with pytest.raises(WindtunnelError, match="4 studies, and the rules ask for 5"):
        external_time([[1.0] * 5] * 4)


def test_the_self_tuning_track_allows_three_times_as_long():
    assert self_tuning_time([3.0, 2.9, 3.1, 1.0, 9.0], allowed=1.0) == 3.0
    assert self_tuning_time([3.0, 2.9, 3.1, 3.2, 9.0], allowed=1.0) == INF
