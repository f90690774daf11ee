from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Scale
from windtunnel.studies.explain import explain, parse_scale
from windtunnel.studies.study import Study

TARGET = Scale(width=128, depth=4, units=1000)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("width=256", Scale(256, 4, 1000)),
        ("width=256,depth=8", Scale(256, 8, 1000)),
        (" depth = 8 , tokens = 1_000_000 ", Scale(128, 8, 1_000_000)),
        ("width=1,width=2", Scale(2, 4, 1000)),
    ],
)
def test_axes_that_are_not_named_are_the_targets(text: str, scale: Scale) -> None:
    assert parse_scale(text, TARGET, "tokens") == scale


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("height=3", "no axis 'height'"),
        ("units=3", "no axis 'units'"),
        ("images=3", "no axis 'images'"),
        ("", "no axis ''"),
        ("width=2,", "no axis ''"),
        ("width", "--scale width"),
        ("width=0", "--scale width"),
        ("width=-4", "--scale width"),
        ("width=2.5", "--scale width"),
        ("width=\u00b2", "--scale width"),
        ("depth=1=2", "--scale depth"),
    ],
)
def test_what_is_no_scale_is_named(text: str, place: str) -> None:
    with pytest.raises(WindtunnelError) as error:
        parse_scale(text, TARGET, "tokens")
    assert place in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text(alphabet="widthdeptokns=,_0123456789 .-", max_size=30))
def test_any_text_is_a_scale_or_an_error_for_people(text: str) -> None:
    try:
        scale = parse_scale(text, TARGET, "tokens")
    except WindtunnelError:
        return
    assert min(scale.width, scale.depth, scale.units) > 0


def test_nothing_changes_at_base_and_hidden_rates_fall_with_width(study: Study) -> None:
    at_base = explain(study, "width=16,depth=1,tokens=16384")
    assert {entry["lr"] for entry in at_base["parameters"]} == {1.0}
    doubled = explain(study, "width=32,depth=1,tokens=16384")
    hidden = [entry for entry in doubled["parameters"] if entry["role"] == "hidden"]
    assert {entry["lr"] for entry in hidden} == {0.5}


def test_without_a_scale_it_is_the_targets(study: Study) -> None:
    assert explain(study)["target"]["width"] == study.target.width


def test_explaining_writes_nothing(study: Study) -> None:
    explain(study)
    assert [path.name for path in study.folder.iterdir()] == ["study.yaml"]
