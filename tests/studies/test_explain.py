from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Scale
from windtunnel.studies.explain import explain, parse_scale, tuned_recipe
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


def test_with_the_recipe_rates_are_those_of_the_forecast(copied: Study) -> None:
    factors = explain(copied)["parameters"]
    values = explain(copied, with_recipe=True)["parameters"]
    lr = copied.needed("forecast", "forecast")["lr"]
    for factor, value in zip(factors, values, strict=True):
        assert value["lr"] == lr * factor["lr"]
        assert value["eps"] == pytest.approx(1e-8 * factor["eps"])
        if value["role"] == "vector":
            assert (value["weight_decay"], value["init_std"]) == (0.0, 0.0)
    merged = explain(copied, every_block=False, with_recipe=True)["parameters"]
    assert sum(row["count"] for row in merged) == len(values)


def test_before_a_forecast_the_rate_is_the_one_it_would_take(copied: Study) -> None:
    expected = tuned_recipe(copied)
    (copied.folder / "forecast.json").unlink()
    assert tuned_recipe(copied) == expected


def test_without_a_tuned_rate_the_command_to_run_is_named(study: Study) -> None:
    with pytest.raises(WindtunnelError, match="first run `windtunnel tune"):
        explain(study, with_recipe=True)
    study.write("tune", {"sweeps": []})
    with pytest.raises(WindtunnelError, match="no learning rate has an optimum yet"):
        explain(study, with_recipe=True)
