from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.forecasting import forecast_law
from windtunnel.studies.forecast import forecast, ladder_law, transferred_lr
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


# A real ladder (gpt on the standard library's source, widths 24, 48, 96, one seed, one rate), and
# what width 192 reached at 1,228,800 tokens.
REAL = {
    20088: (2.2212, 2.0719, 1.9028, 1.8206, 1.7249),
    67824: (2.0748, 1.9143, 1.7337, 1.6267, 1.5319),
    246240: (2.0004, 1.8157, 1.6238, 1.4926, 1.4068),
}
REAL_TOKENS = (204800, 327680, 512000, 819200, 1228800)
REAL_TARGET = {"params": 934848.0, "tokens": 1228800.0}
REAL_LOSS = 1.3370


def points(losses: Callable[[int, int, int], float], widths: tuple[int, ...]) -> list[Any]:
    lengths = [round(units) for units in np.geomspace(2.5e5, 1e6, 4)]
    return [
        {"params": 24 * width**2, "units": units, "loss": losses(number, 24 * width**2, units)}
        for number, (width, units) in enumerate(itertools.product(widths, lengths))
    ]


def known(params: float, units: float) -> float:
    return 0.7 + 15 / params**0.335 + 150 / units**0.407


def test_a_real_ladder_foretells_its_real_target() -> None:
    ladder = [
        {"params": params, "units": units, "loss": loss}
        for params, losses in REAL.items()
        for units, loss in zip(REAL_TOKENS, losses, strict=True)
    ]
    said = forecast_law(ladder_law(ladder, 0.007, seed=0), REAL_TARGET)
    assert said.value == pytest.approx(REAL_LOSS, rel=0.015)
    assert said.ci90[0] <= REAL_LOSS <= said.ci90[1]
    assert np.ptp(said.ci90) / 2 / said.value < 0.06


@pytest.mark.parametrize("share", [0.0, 0.08])
def test_ranges_cover_and_stay_narrow(share: float) -> None:
    """Also where the truth has a term in both sizes that the form lacks."""
    inside, halves = [], []
    for seed in range(8):
        luck = np.random.default_rng(seed).standard_normal(13) * 0.005

        def truth(params: float, units: float) -> float:
            return known(params, units) + share * (params / 7.4e4) ** -0.2 * (units / 5e5) ** -0.2

        ladder = points(lambda n, p, u: truth(p, u) * math.exp(luck[n]), (24, 48, 96))  # noqa: B023
        said = forecast_law(
            ladder_law(ladder, 0.005, seed=seed), {"params": 24.0 * 192**2, "tokens": 2e6}
        )
        reached = truth(24 * 192**2, 2e6) * math.exp(luck[12])
        inside.append(said.ci90[0] <= reached <= said.ci90[1])
        halves.append(np.ptp(said.ci90) / 2 / said.value)
    assert sum(inside) >= 7
    assert 0.01 < np.median(halves) < 0.07


def test_a_target_far_beyond_a_short_ladder_is_not_ok() -> None:
    luck = np.random.default_rng(0).standard_normal(12) * 0.005
    ladder = points(lambda n, p, u: known(p, u) * math.exp(luck[n]), (32, 48, 64))
    law = ladder_law(ladder, 0.005, seed=0)
    near, far, farther = (
        forecast_law(law, {"params": 24.0 * width**2, "tokens": tokens})
        for width, tokens in ((96, 1e6), (256, 2.5e6), (256, 1e9))
    )
    assert np.ptp(near.ci90) < np.ptp(far.ci90) < np.ptp(farther.ci90)
    assert far.verdict != "ok"
    assert farther.verdict == "cannot say"


def test_a_ladder_of_one_width_says_nothing_of_another() -> None:
    law = ladder_law(points(lambda n, p, u: known(p, u), (48,)) * 2, 0.005, seed=0)
    said = forecast_law(law, {"params": 24.0 * 192**2, "tokens": 2e6})
    assert said.verdict == "cannot say"
    assert "every row has the same params" in said.reason


def test_too_few_points_are_refused() -> None:
    few = points(lambda n, p, u: known(p, u), (24, 48))[:5]
    with pytest.raises(WindtunnelError, match="has 5 points and the law needs 6"):
        ladder_law(few, 0.005, seed=0)


def test_longer_runs_weigh_more() -> None:
    """Short runs that follow another law hardly bend the forecast."""
    ladder = points(lambda n, p, u: known(p, u) * (1.04 if u < 3e5 else 1), (24, 48, 96))
    law = ladder_law(ladder, 0.004, seed=0)
    assert law.weight is not None
    assert law.weight.max() / law.weight.min() == pytest.approx(4**1.5, rel=1e-4)
