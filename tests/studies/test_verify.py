"""A target trained elsewhere, held against a forecast whose time and range are known."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import NegativeVerdictError, WindtunnelError
from windtunnel.studies.study import Study
from windtunnel.studies.verify import verify, verify_sentences

MADE_AT = "2026-11-01T12:00:00+00:00"
FORECAST = {
    "lr": 2**-6,
    "loss": 2.5,
    "ci90": [2.4, 2.6],
    "verdict": "ok",
    "reason": "",
    "params": 1000,
    "made_at": MADE_AT,
}
NOON = datetime.fromisoformat(MADE_AT).timestamp()


@pytest.fixture
def forecast(study: Study) -> Study:
    study.write("forecast", FORECAST)
    return study


def metrics(path: Path, *, starts: float | None, loss: float = 2.5, tokens: int = 262_144) -> Path:
    """A log of eight rows, an hour in all, whose loss falls to `loss`."""
    rows = ["tokens,val_loss,_timestamp" if starts is not None else "tokens,val_loss"]
    for k in range(1, 9):
        stamp = "" if starts is None else f",{NOON + starts + 450 * k}"
        rows.append(f"{tokens * k // 8},{loss + 0.2 * (8 - k)}{stamp}")
    path.write_text("\n".join(rows))
    return path


@pytest.mark.parametrize(
    ("starts", "loss", "verdict", "first", "inside"),
    [
        (60, 2.5, "inside", True, True),
        (60, 2.7, "missed", True, False),
        (-1800, 2.5, "too late", False, True),
        (-86_400, 2.5, "too late", False, True),
        (None, 2.5, "cannot say", None, True),
        (None, 2.7, "missed", None, False),
    ],
)
def test_verdicts(
    forecast: Study,
    tmp_path: Path,
    starts: float | None,
    loss: float,
    verdict: str,
    first: bool | None,
    inside: bool,
) -> None:
    outcome = verify(forecast, metrics(tmp_path / "final.csv", starts=starts, loss=loss))
    assert outcome["verdict"] == verdict
    assert (outcome["made_first"], outcome["inside"]) == (first, inside)
    assert outcome["error_percent"] == pytest.approx(100 * (2.5 / loss - 1))
    kept = forecast.read("target")
    assert (kept is None) == (verdict == "too late")


def test_a_file_older_than_the_forecast_is_no_forecasts_run(
    forecast: Study, tmp_path: Path
) -> None:
    path = metrics(tmp_path / "final.csv", starts=None)
    os.utime(path, (NOON - 3600, NOON - 3600))
    outcome = verify(forecast, path)
    assert outcome["verdict"] == "too late" and "last written" in outcome["first_reason"]


@pytest.mark.parametrize(
    ("heading", "stamp", "first"),
    [
        ("created_at", "2026-11-01T13:00:00Z", True),
        ("created_at", "2026-11-01T11:00:00Z", False),
        ("created_at", "2026-11-01T13:30:00+02:00", False),
        ("created_at", "2026-11-01T13:00:00", None),  # no zone: it may be an hour or half a day
        ("created_at", "2026-11-03T13:00:00", True),
        ("finished_at", "2026-11-01T13:00:00Z", None),  # it may have begun before
        ("finished_at", "2026-11-01T11:00:00Z", False),
        ("_timestamp", str(1000 * (NOON + 60)), None),  # one stamp, in milliseconds
        ("time", "3600", None),  # seconds since its start are no time stamp
    ],
)
def test_time_stamps_of_one_row(
    forecast: Study, tmp_path: Path, heading: str, stamp: str, first: bool | None
) -> None:
    path = tmp_path / "final.csv"
    path.write_text(f"width,depth,tokens,loss,{heading}\n128,1,262144,2.5,{stamp}\n")
    assert verify(forecast, path)["made_first"] is first


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("64,1,262144,2.5", "no run of the target: width 64, and the target's is 128"),
        ("128,2,262144,2.5", "depth 2"),
        ("128,1,131072,2.5", "it ends at 131k tokens"),
        ("128,1,524288,2.5", "and the target is trained on 262k"),
    ],
)
def test_another_runs_file_is_refused(
    forecast: Study, tmp_path: Path, row: str, words: str
) -> None:
    path = tmp_path / "final.csv"
    path.write_text(f"width,depth,tokens,loss\n{row}\n")
    with pytest.raises(WindtunnelError) as refused:
        verify(forecast, path)
    assert words in str(refused.value) and refused.value.exit_code == 2
    assert forecast.read("target") is None


def test_steps_stand_for_tokens_and_what_is_open_is_said(forecast: Study, tmp_path: Path) -> None:
    path = tmp_path / "final.jsonl"
    path.write_text("".join(f'{{"step": {k}, "loss": 2.5}}\n' for k in (0, 4095)))
    outcome = verify(forecast, path)
    words = " ".join(sentence.text for sentence in verify_sentences(outcome, forecast))
    assert "4,095 steps were taken as 262k of them" in words
    assert "doesn't say its width" in words and "can't be known" in words


def test_the_validation_loss_of_the_last_row_that_has_one_counts(
    forecast: Study, tmp_path: Path
) -> None:
    path = tmp_path / "final.csv"
    path.write_text("tokens,loss,val/loss\n131072,9,2.55\n262144,9,2.52\n262144,9,\n")
    assert verify(forecast, path)["loss"] == 2.52


def test_a_diverged_run_refutes_the_forecast(forecast: Study, tmp_path: Path) -> None:
    path = tmp_path / "final.csv"
    path.write_text("tokens,val_loss\n131072,2.5\n262144,nan\n")
    with pytest.raises(NegativeVerdictError, match="line 3: the run diverged"):
        verify(forecast, path)


def test_rows_of_several_runs_are_refused(forecast: Study, tmp_path: Path) -> None:
    path = tmp_path / "final.csv"
    path.write_text("width,tokens,loss\n64,262144,2.5\n128,262144,2.5\n")
    with pytest.raises(WindtunnelError, match="of several runs"):
        verify(forecast, path)


def test_a_forecast_without_a_range_cannot_say(study: Study, tmp_path: Path) -> None:
    study.write("forecast", {**FORECAST, "loss": None, "ci90": None, "verdict": "cannot say"})
    assert verify(study, metrics(tmp_path / "f.csv", starts=60))["verdict"] == "cannot say"


def test_it_goes_into_the_report_and_twice_is_once(forecast: Study, tmp_path: Path) -> None:
    path = metrics(tmp_path / "final.csv", starts=60)
    first = verify(forecast, path)
    assert verify(forecast, path) == first == verify(forecast)
    target = forecast.read("target")
    assert target is not None and target["imported"]["source"] == str(path)


def test_a_target_trained_here_is_never_overwritten(forecast: Study, tmp_path: Path) -> None:
    own = {"loss": 2.45, "inside": True, "error_percent": 2.0}
    forecast.write("target", {**own, "finished_at": datetime.now(UTC).isoformat()})
    assert verify(forecast)["verdict"] == "inside" and verify(forecast)["made_first"] is True
    assert verify(forecast, metrics(tmp_path / "f.csv", starts=60, loss=2.7))["verdict"] == "missed"
    kept = forecast.read("target")
    assert kept is not None and kept["loss"] == 2.45


def test_without_a_forecast_it_names_the_command(study: Study, tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match="first run `windtunnel forecast"):
        verify(study, metrics(tmp_path / "final.csv", starts=60))


def test_the_reports_content_takes_it(copied: Study, tmp_path: Path) -> None:
    """A study whose target was trained elsewhere is reported like any other."""
    from windtunnel.studies.report import study_content

    (copied.folder / "target.json").unlink()
    path = metrics(tmp_path / "final.csv", starts=1e9, loss=2.0)  # after a forecast of today
    outcome: dict[str, Any] = verify(copied, path)
    content = study_content(copied)
    assert content.target is not None and content.target.loss == outcome["loss"]
