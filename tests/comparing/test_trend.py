from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.comparing.trend import trend

SIZES = (64.0, 128.0, 256.0, 512.0)


def logs(slope, noise=0.0, seeds=6, random=0, shared=0.0, bend=0.0):
    draw = np.random.default_rng(random)
    luck = draw.normal(0, shared, seeds)
    return [
        {
            str(seed): 0.2
            + slope * math.log(size / 64)
            + bend * (place % 2)
            + luck[seed]
            + draw.normal(0, noise)
            for seed in range(seeds)
        }
        for place, size in enumerate(SIZES)
    ]


def test_an_exact_line_is_found():
    found = trend("width", SIZES, logs(-0.1), 1024.0)
    assert found.slope.value == pytest.approx(-0.1)
    assert (found.verdict, found.axis) == ("shrinks", "width")
    assert found.forecast.value == pytest.approx(math.exp(0.2 - 0.1 * math.log(16)))
    assert found.at(128.0) == pytest.approx(math.exp(0.2 - 0.1 * math.log(2)))


@pytest.mark.parametrize("shared", [0.0, 0.1])
def test_the_forecasts_range_covers_also_where_scales_share_their_luck(shared):
    truth = math.exp(0.2 + 0.05 * math.log(16))
    held = 0
    for random in range(300):
        found = trend("width", SIZES, logs(0.05, 0.05, random=random, shared=shared), 1024.0)
        low, high = found.forecast.ci90
        held += low < truth < high
    assert 0.84 < held / 300 < 0.97


def test_no_trend_is_rarely_called_one():
    called = [trend("width", SIZES, logs(0, 0.05, random=r)).verdict for r in range(300)]
    assert np.mean([verdict != "no trend shown" for verdict in called]) < 0.14
    assert trend("width", SIZES, logs(0.1, 0.05)).verdict == "grows"


def test_scales_off_the_line_widen_the_range():
    straight, bent = (trend("width", SIZES, logs(0, 0.02, bend=bend)) for bend in (0, 0.2))
    wide = [found.slope.ci90[1] - found.slope.ci90[0] for found in (straight, bent)]
    assert wide[1] > 2 * wide[0]


def test_what_is_refused():
    short = trend("width", SIZES[:2], logs(0)[:2])
    assert (short.verdict, short.at(64.0)) == ("cannot say", None)
    assert "at 3 values of width, and there are 2; add scales" in short.reason
    few = logs(0)
    few[3] = {"0": 0.2, "7": 0.1}
    assert "5 seeds that all scales share, and there are 1;" in trend("width", SIZES, few).reason
    far = trend("width", SIZES, logs(0, 0.02), 8192.0)
    assert far.forecast is None and far.verdict == "no trend shown"
    assert "16 times beyond width 512, and the scales span 8 times" in far.reason
    vague = trend("width", SIZES, logs(0, 2.0), 1024.0)
    assert vague.forecast is None and vague.reason.endswith("add seeds")
