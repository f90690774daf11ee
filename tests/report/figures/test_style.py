from __future__ import annotations

from itertools import pairwise

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.report.figures.style import (
    PALETTE,
    PAPER,
    marker,
    ordered_colours,
    spread,
    styled,
)

ON_PAPER = [c for c in PALETTE if c.name not in ("paper", "grid")]
SIZES = [c for c in PALETTE if c.name.startswith("size-")]


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", ON_PAPER, ids=lambda c: c.name)
def test_every_line_stands_out_from_its_paper(colour):
    assert contrast(colour.light, PAPER.light) >= 3.0
    assert contrast(colour.dark, PAPER.dark) >= 3.0


def test_order_can_be_seen_without_hue():
    light = [luminance(c.light) for c in SIZES]
    dark = [luminance(c.dark) for c in SIZES]
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)


def test_each_light_colour_is_one_variable():
    assert len({c.light for c in PALETTE}) == len(PALETTE)


@pytest.mark.parametrize("count", range(1, 9))
def test_up_to_eight_things_differ_in_colour_and_marker(count):
    assert len(set(ordered_colours(count))) == count
    assert len({marker(place) for place in range(count)}) == count


def test_more_than_eight_still_have_a_colour_each():
    assert len(ordered_colours(13)) == 13


@given(st.lists(st.floats(-100, 100), max_size=12), st.floats(0.01, 10))
def test_spread_labels_keep_their_distance_and_order(values, gap):
    moved = spread(values, gap)
    order = sorted(range(len(values)), key=values.__getitem__)
    gaps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(distance >= gap * (1 - 1e-6) - 1e-9 for distance in gaps)
    assert sum(moved) == pytest.approx(sum(values), abs=1e-6)


def test_labels_far_apart_stay_where_they_belong():
    assert spread([3.0, 1.0, 2.0], 0.5) == [3.0, 1.0, 2.0]


def test_the_users_own_settings_come_back():
    before = dict(matplotlib.rcParams)
    with styled(svg_hashsalt="x"):
        assert matplotlib.rcParams["svg.hashsalt"] == "x"
        assert matplotlib.rcParams["svg.fonttype"] == "none"
    assert dict(matplotlib.rcParams) == before
