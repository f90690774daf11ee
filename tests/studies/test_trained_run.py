"""Time stamps and metrics files, as people write them."""

from __future__ import annotations

import string
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.studies.trained_run import parse_moment, read_trained_run

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(2002, 1, 1), datetime(2100, 1, 1))


@given(TIMES, ZONES)
def test_iso_times_with_a_zone_are_exact(time: datetime, zone: timezone) -> None:
    stamp = time.replace(tzinfo=zone)
    moment = parse_moment(stamp.isoformat())
    assert moment is not None and moment.zoned and moment.at == stamp


@given(TIMES)
def test_a_time_without_a_zone_is_taken_as_utc_and_said_to_be_so(time: datetime) -> None:
    moment = parse_moment(time.isoformat(sep=" "))
    assert moment is not None and not moment.zoned and moment.at == time.replace(tzinfo=UTC)


@given(TIMES, st.sampled_from([1.0, 1e3]))
def test_seconds_and_milliseconds_since_1970(time: datetime, factor: float) -> None:
    stamp = time.replace(microsecond=0, tzinfo=UTC)
    moment = parse_moment(stamp.timestamp() * factor)
    assert moment is not None and moment.at == stamp


@pytest.mark.parametrize("text", ["", "nan", "inf", "soon", "3600", "-5", "1e400", "12:30"])
def test_what_is_no_time_stamp_is_none(text: str) -> None:
    assert parse_moment(text) is None


CELLS = st.one_of(
    st.sampled_from(["", "nan", "inf", "-1", "1e9", "2.5", "64", "x", '"', "2026-01-01T00:00:00Z"]),
    st.text(string.printable, max_size=6),
)
HEADINGS = st.sampled_from(
    ["loss", "val_loss", "tokens", "step", "width", "_timestamp", "created_at", "ppl", "accuracy"]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(HEADINGS, min_size=1, max_size=4), st.lists(st.lists(CELLS, max_size=4), max_size=4)
)
def test_any_file_is_read_or_refused_in_one_line(
    headings: list[str], rows: list[list[str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "final.csv"
        text = "\n".join([",".join(headings), *(",".join(row) for row in rows)])
        path.write_text(text, encoding="utf-8")
        try:
            run = read_trained_run(path, {}, "loss")
        except WindtunnelError as error:
            assert "\n" not in str(error) and "final.csv" in str(error)
        else:
            assert run.loss == run.loss
