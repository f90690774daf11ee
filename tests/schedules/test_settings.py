"""Settings are read off a signature: what is unknown, missing or of another kind is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from windtunnel import schedules
from windtunnel.errors import WindtunnelError
from windtunnel.schedules import schedule_multiplier
from windtunnel.schedules.settings import asks_for, checked_settings


def stairs(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    height: float,
    count: int = 3,
    side: str = "left",
    levels: Sequence[float] = (1.0,),
    lr: float = 1.0,
) -> float:
    return 1 - height * ((step * count) // steps)


def test_numbers_come_in_the_declared_type() -> None:
    given = {"height": 1, "count": 4.0, "side": "right", "levels": [1, 0.5]}
    found = checked_settings("stairs", stairs, given)
    assert found == {"height": 1.0, "count": 4, "side": "right", "levels": (1.0, 0.5)}
    assert [type(found[name]) for name in ("height", "count", "levels")] == [float, int, tuple]


def test_what_the_recipe_knows_is_asked_for_by_name() -> None:
    assert asks_for(stairs) == ("lr",)
    assert asks_for(schedules.SCHEDULES["power"]) == ("lr", "batch_units")
    assert asks_for(schedules.SCHEDULES["wsd"]) == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "schedule_settings.height: missing; the schedule 'stairs' needs it"),
        (
            {"hight": 1},
            "schedule_settings.hight: the schedule 'stairs' has no such setting; it has",
        ),
        ({"step": 1}, "schedule_settings.step: the schedule 'stairs' has no such setting"),
        ({"height": "tall"}, "schedule_settings.height: 'tall' is no number"),
        ({"height": True}, "schedule_settings.height: True is no number"),
        ({"height": float("nan")}, "schedule_settings.height: nan is no number"),
        ({"height": 1, "count": 2.5}, "schedule_settings.count: 2.5 is no whole number"),
        ({"height": 1, "side": 3}, "schedule_settings.side: 3 is no name"),
        ({"height": 1, "levels": 3}, "schedule_settings.levels: 3 is no list of numbers"),
        ({"height": 1, "levels": ["a"]}, "schedule_settings.levels: 'a' is no number"),
    ],
)
def test_refuses_in_words(given: Mapping[str, Any], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        checked_settings("stairs", stairs, given)


def test_one_file_and_one_line_add_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "SCHEDULES", {**schedules.SCHEDULES, "stairs": stairs})
    found = schedule_multiplier(
        "stairs", 5, 10, warmup_fraction=0, decay_fraction=0, settings={"height": 0.25}
    )
    assert found == 0.75


def test_a_schedule_without_settings_says_so() -> None:
    with pytest.raises(WindtunnelError, match="'constant' has no such setting; it has none"):
        schedule_multiplier(
            "constant", 0, 1, warmup_fraction=0, decay_fraction=0, settings={"final": 1}
        )
