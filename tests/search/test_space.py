from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.search.space import Choice, Float, Int, Space, parse_space

SPACE = Space(
    {
        "lr": Float(1e-4, 1e-1, log=True),
        "layers": Int(1, 4),
        "optimizer": Choice(("adamw", "sgd")),
        "momentum": Float(0.0, 0.99, when={"optimizer": ("sgd",)}),
    }
)


def test_places_by_hand() -> None:
    assert Float(1e-4, 1e-2, log=True).value(0.5) == pytest.approx(1e-3)
    assert Float(2, 4).value(0.25) == 2.5
    assert [Int(1, 4).value(u) for u in (0.0, 0.24, 0.26, 0.51, 0.76, 1.0)] == [1, 1, 2, 3, 4, 4]
    assert [Choice("abc").value(u) for u in (0.0, 0.34, 0.99, 1.0)] == ["a", "b", "c", "c"]
    assert Int(1, 64, log=True).value(0.5) == 6  # the root of .5 x 64.5


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_values_are_in_the_space_and_places_lead_back(place: list[float]) -> None:
    values = SPACE.at(place)
    SPACE.check(values)
    assert SPACE.at(SPACE.place(values)) == pytest.approx(values)
    assert ("momentum" in values) == (values["optimizer"] == "sgd")


def test_draws_fill_every_cell_evenly() -> None:
    generator = np.random.default_rng(0)
    drawn = [SPACE.draw(generator) for _ in range(4000)]
    for layers in range(1, 5):
        share = np.mean([d["layers"] == layers for d in drawn])
        assert share == pytest.approx(0.25, abs=0.03)
    assert np.mean([math.log10(float(d["lr"])) for d in drawn]) == pytest.approx(-2.5, abs=0.06)


def test_completed_drops_and_draws_what_depends() -> None:
    generator = np.random.default_rng(0)
    plain = {"lr": 0.01, "layers": 2, "optimizer": "adamw", "momentum": 0.5}
    assert SPACE.completed(plain, generator) == {"lr": 0.01, "layers": 2, "optimizer": "adamw"}
    other = SPACE.completed({"lr": 0.01, "layers": 2, "optimizer": "sgd"}, generator)
    assert 0 <= float(other["momentum"]) <= 0.99


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lr": 1.0, "layers": 2, "optimizer": "adamw"}, "lr is 1.0, and may be from 0.0001 to"),
        ({"lr": 0.01, "layers": 2.5, "optimizer": "adamw"}, "layers is 2.5, and may be a whole"),
        ({"lr": 0.01, "layers": 2, "optimizer": "lion"}, "one of 'adamw', 'sgd'"),
        ({"lr": 0.01, "layers": 2, "optimizer": "sgd"}, "no value of momentum is given"),
        ({"rate": 0.01}, "no parameter 'rate'; there are lr, layers"),
    ],
)
def test_wrong_values_are_named(values: dict, words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        SPACE.check(values)


def test_a_space_as_people_write_it() -> None:
    space = parse_space(
        {
            "lr": {"low": "1e-4", "high": 0.1, "log": True},
            "layers": {"low": 1, "high": 4, "int": True},
            "optimizer": ["adamw", "sgd"],
            "momentum": {"low": 0, "high": 0.99, "when": {"optimizer": "sgd"}},
        }
    )
    assert space.parameters == SPACE.parameters


@pytest.mark.parametrize(
    ("given_space", "words"),
    [
        ({}, "no parameter; name at least one"),
        ({"lr": 0.1}, "lr is 0.1; give a list of choices, or low and high"),
        ({"lr": {"low": 1}}, "lr needs low and high"),
        ({"lr": {"low": 1, "high": 2, "logg": True}}, "no key 'logg'; keys are low"),
        ({"lr": {"low": "a", "high": 2}}, "must be numbers"),
        ({"n": {"low": 1.5, "high": 2, "int": True}}, "whole numbers"),
        ({"lr": {"low": 2, "high": 1}}, "from 2 to 1; low comes first"),
        ({"lr": {"low": 0, "high": 1, "log": True}}, "begins at 0, which has no logarithm"),
        ({"lr": {"low": 0, "high": float("inf")}}, "no finite range"),
        ({"a": []}, "no values to choose from"),
        ({"a": {"low": 0, "high": 1, "when": {"b": 1}}}, "beside b, which is no earlier"),
        (
            {"b": ["x"], "a": {"low": 0, "high": 1, "when": {"b": "y"}}},
            "beside b = 'y', which b can't be; it may be one of 'x'",
        ),
    ],
)
def test_a_wrong_space_is_refused_in_words(given_space: dict, words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        parse_space(given_space)
