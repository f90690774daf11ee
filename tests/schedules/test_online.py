"""The record of an online schedule: read back, replayed, and refused where it is none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.online import (
    Change,
    Entry,
    Tried,
    follow,
    multiplier_at,
    read_record,
    save_record,
)

RECORD = (Change(0, 0.5), Tried(4, 1.0, (2.0, 1.5)), Change(4, 0.1), Change(6, 0.2))
multipliers = st.floats(1e-6, 1)
entries = st.one_of(
    st.builds(Change, step=st.integers(0, 10**6), multiplier=multipliers),
    st.builds(
        Tried,
        step=st.integers(0, 10**6),
        multiplier=multipliers,
        losses=st.lists(st.floats(-1e6, 1e6), max_size=5).map(tuple),
    ),
)


class Counter:
    def __init__(self, step: int = 0) -> None:
        self.step = step
        self.rates: list[float] = []

    def train(self, multiplier: float, steps: int) -> None:
        self.step += steps
        self.rates += [multiplier] * steps


def test_the_last_change_holds() -> None:
    found = [multiplier_at(RECORD, step) for step in range(8)]
    assert found == [0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.2, 0.2]
    with pytest.raises(WindtunnelError, match="nothing is said of step 3"):
        multiplier_at([Change(4, 0.1)], 3)


@pytest.mark.parametrize("start", range(9))
def test_replay_from_any_step_is_the_rest_of_the_whole(start: int) -> None:
    whole, rest = Counter(), Counter(start)
    follow(whole, RECORD, 8)
    follow(rest, RECORD, 8)
    assert whole.rates == [multiplier_at(RECORD, step) for step in range(8)]
    assert rest.rates == whole.rates[start:]


@given(st.lists(entries, max_size=6))
def test_written_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, record: list[Entry]
) -> None:
    path = tmp_path_factory.mktemp("record") / "schedule.jsonl"
    save_record(path, record)
    assert read_record(path) == tuple(record)


def test_a_loss_that_is_no_number_is_read_back_as_one(tmp_path: Path) -> None:
    path = tmp_path / "schedule.jsonl"
    save_record(path, [Tried(0, 0.5, (2.0, math.inf, math.nan))])
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()
    (entry,) = read_record(path)
    assert isinstance(entry, Tried)
    assert [math.isfinite(loss) for loss in entry.losses] == [True, False, False]


def test_no_file_is_an_empty_record(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none.jsonl") == ()


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "3",
        "[]",
        "{}",
        '{"step": 1}',
        '{"step": -1, "multiplier": 0.5}',
        '{"step": 1.5, "multiplier": 0.5}',
        '{"step": true, "multiplier": 0.5}',
        '{"step": 1, "multiplier": 0}',
        '{"step": 1, "multiplier": NaN}',
        '{"step": 1, "multiplier": "a"}',
        '{"step": 1, "multiplier": 0.5, "losses": 3}',
        '{"step": 1, "multiplier": 0.5, "losses": ["a"]}',
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "schedule.jsonl"
    path.write_text('{"step": 0, "multiplier": 0.5}\n' + line + "\n")
    with pytest.raises(WindtunnelError, match=r"schedule\.jsonl, line 2: no entry"):
        read_record(path)
