from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.studies.forecast import forecast, transferred_lr
from windtunnel.studies.study import Study

WIDTH, UNITS = 64, 131_072  # the largest proxy; the target is one octave beyond in both


def begin(
    study: Study,
    half: float | None,
    slopes: dict[str, list[float] | None],
    verdict: str = "cannot say",
) -> None:
    """Sweeps whose 90 % ranges reach `half` octaves to each side."""

    def optimum(at: float) -> dict[str, Any]:
        ci90 = [None, None] if half is None else [at - half, at + half]
        se = None if half is None else half / 2
        return {"log2_value": at, "lr": 2**at, "ci90": ci90, "se": se}

    sweeps = [
        {"rule": rule, "width": width, "units": units, "optimum": optimum(log2_value)}
        for rule, width, units, log2_value in [
            ("mup", WIDTH, UNITS, -6.0),
            ("mup", WIDTH, 16_384, -5.0),
            ("mup", 16, UNITS, -4.0),
            ("sp", WIDTH, UNITS, -9.0),
        ]
    ]
    study.write("tune", {"sweeps": sweeps})
    axes = [
        {"axis": axis, "slope_ci90": slope, "verdict": verdict} for axis, slope in slopes.items()
    ]
    study.write("transfer", {"axes": axes})


def test_the_rate_is_that_of_the_proxy_nearest_to_the_target(study: Study) -> None:
    begin(study, 0.25, {"width": None, "tokens": None})
    said = transferred_lr(study)
    assert said["lr"] == 2**-6
    assert said["lr_ci90"] == pytest.approx([2**-6.25, 2**-5.75])


def test_where_it_transfers_every_width_measures_the_rate(study: Study) -> None:
    begin(study, 0.3, {"width": None, "tokens": None}, verdict="transfers")
    said = transferred_lr(study)
    assert said["lr"] == pytest.approx(2**-5)  # of -6 at the largest and -4 at width 16
    low, high = map(math.log2, said["lr_ci90"])
    assert (low, high) == pytest.approx((-5 - 0.3 / math.sqrt(2), -5 + 0.3 / math.sqrt(2)))


def test_drift_over_the_way_to_the_target_widens_the_range_on_its_side(study: Study) -> None:
    begin(study, 0.3, {"width": [-0.4, -0.1], "tokens": [-0.1, 0.2]})
    low, high = map(math.log2, transferred_lr(study)["lr_ci90"])
    assert -6 - low == pytest.approx(math.sqrt(0.3**2 + 0.4**2 + 0.1**2))
    assert high + 6 == pytest.approx(math.sqrt(0.3**2 + 0.2**2))


def test_the_way_to_the_target_begins_where_the_rate_was_measured(study: Study) -> None:
    """On average at width 32, two octaves from the target's 128."""
    begin(study, 0.3, {"width": [-0.1, 0.2], "tokens": None}, verdict="transfers")
    low, high = map(math.log2, transferred_lr(study)["lr_ci90"])
    own = 0.3 / math.sqrt(2)
    assert (-5 - low, high + 5) == pytest.approx((math.hypot(own, 0.2), math.hypot(own, 0.4)))


def test_an_optimum_without_a_range_gives_a_rate_without_one(study: Study) -> None:
    begin(study, None, {"width": [-0.4, -0.1]})
    assert transferred_lr(study) == {"lr": 2**-6, "lr_ci90": None, "others": {}}


def test_without_any_optimum_there_is_no_rate(study: Study) -> None:
    study.write("tune", {"sweeps": [{"rule": "mup", "width": 16, "units": 1, "optimum": None}]})
    with pytest.raises(WindtunnelError, match=r"^forecast: no learning rate has an optimum"):
        transferred_lr(study)


def test_a_forecast_is_never_rewritten(copied: Study) -> None:
    path = copied.folder / "forecast.json"
    before = path.read_bytes(), path.stat().st_mtime_ns
    written = copied.read("forecast")
    for step in ("fit", "tune", "transfer"):
        other = copied.needed(step, step)
        if step == "fit":
            other["points"] = [{**point, "loss": 9.0} for point in other["points"]]
        copied.write(step, other)
        assert forecast(copied) == written
        (copied.folder / f"{step}.json").unlink()
        assert forecast(copied) == written
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_it_is_written_before_the_target_is_decided_on(finished: Any) -> None:
    folder = finished.study.folder
    said, came = (json.loads((folder / f"{s}.json").read_text()) for s in ("forecast", "target"))
    assert datetime.fromisoformat(said["made_at"]) <= datetime.fromisoformat(came["finished_at"])
    assert (folder / "forecast.json").stat().st_mtime_ns <= (
        folder / "target.json"
    ).stat().st_mtime_ns


def test_the_curves_end_at_the_forecast(finished: Any) -> None:
    said = finished.study.read("forecast")
    *_, target = said["law"]["curves"]
    assert target["width"] == finished.study.target.width
    assert target["units"][-1] == pytest.approx(finished.study.target.units)
    assert target["loss"][-1] == pytest.approx(said["loss"])
    assert [target["low"][-1], target["high"][-1]] == pytest.approx(said["ci90"])
