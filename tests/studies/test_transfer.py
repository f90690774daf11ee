from __future__ import annotations

from typing import Any

import pytest

from windtunnel.studies.study import Study
from windtunnel.studies.transfer import transfer


def sweep(rule: str, width: int, units: int, best: float) -> dict[str, Any]:
    points = [
        {"lr": 2 ** (best + k / 2), "loss": 2.0 * (1 + 0.02 * (k / 2) ** 2), "seed": 0}
        for k in range(-5, 6)
    ]
    return {"rule": rule, "width": width, "units": units, "points": points, "optimum": {"lr": 1.0}}


def sweeps(width_slope: float, length_slope: float, sp_slope: float = -1.0) -> list[dict[str, Any]]:
    found = []
    for doublings, width in enumerate((16, 32, 64)):
        found.append(sweep("mup", width, 16_384, -6 + width_slope * doublings))
        moved = width_slope * doublings + 3 * length_slope  # the longest is three doublings longer
        found.append(sweep("mup", width, 131_072, -6 + moved))
        found.append(sweep("sp", width, 16_384, -6 + sp_slope * doublings))
    return found


def judged(study: Study, *slopes: float) -> dict[str, Any]:
    study.write("tune", {"sweeps": sweeps(*slopes)})
    return transfer(study)


@pytest.mark.parametrize("slope", [0.0, -0.15, 0.1])
def test_known_slopes_are_found(study: Study, slope: float) -> None:
    outcome = judged(study, slope, 0.0)
    assert outcome["slope"] == pytest.approx(slope, abs=0.02)
    assert outcome["slope_at_shortest"] == pytest.approx(slope, abs=0.02)
    assert outcome["sp_slope"] == pytest.approx(-1, abs=0.02)
    assert [axis["axis"] for axis in outcome["axes"]] == ["width", "tokens"]
    assert outcome["axes"][1]["slope"] == pytest.approx(0, abs=0.02)


def test_the_verdict_is_the_worst_over_the_axes(study: Study) -> None:
    assert judged(study, 0.0, 0.0)["verdict"] == "transfers"
    drifts = judged(study, 0.0, -1.0)
    assert [axis["verdict"] for axis in drifts["axes"]] == ["transfers", "drifts"]
    assert drifts["verdict"] == "drifts"
    assert drifts["reason"] == drifts["axes"][1]["reason"]


def test_sp_drifts_and_does_not_touch_the_studys_verdict(study: Study) -> None:
    outcome = judged(study, 0.0, 0.0)
    assert outcome["rules"]["sp"][0]["verdict"] == "drifts"
    assert outcome["verdict"] == "transfers"


def test_without_optima_it_cannot_say(study: Study) -> None:
    study.write("tune", {"sweeps": [{**s, "optimum": None} for s in sweeps(0.0, 0.0)]})
    outcome = transfer(study)
    assert outcome["verdict"] == "cannot say"
    assert outcome["slope"] is None


def test_a_depth_that_the_ladder_did_not_vary_cannot_be_said(make_study: Any) -> None:
    study = make_study(target={"width": 128, "depth": 4, "tokens": 262_144})
    study.write("tune", {"sweeps": sweeps(0.0, 0.0)})
    outcome = transfer(study)
    assert outcome["verdict"] == "cannot say"
    (depth,) = (axis for axis in outcome["axes"] if axis["axis"] == "depth")
    assert "the ladder holds one value" in depth["reason"] and depth["target"] == 4


def test_one_width_and_one_length_cannot_say(make_study: Any) -> None:
    study = make_study(ladder={"width": [16], "depth": 1, "tokens": [16_384]})
    study.write("tune", {"sweeps": [sweep("mup", 16, 16_384, -6.0)]})
    assert transfer(study)["verdict"] == "cannot say"
