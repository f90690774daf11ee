from __future__ import annotations

import math
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.singular_values import OVER_LAW, TOP
from windtunnel.parametrization.slopes import Slope
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.singular_values import match_singular_values, sentences, time_constants
from windtunnel.studies.study import Study
from windtunnel.training import loop

SHORT = {"width": [16, 32], "depth": 1, "tokens": [1024]}
RECIPE = {"batch": 64, "weight_decay": 10.0, "schedule": "wsd", "warmup": 0.0, "decay": 0.0}


@pytest.fixture
def short(make_study: Any) -> Study:
    """16 steps a run, a decay of 1 - 0.008 x 10 a step."""
    return make_study(ladder=SHORT, recipe=RECIPE)


def test_ladder_widths_are_trained_once_and_their_spectra_compared(
    short: Study, quiet: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = match_singular_values(short, None, quiet)
    assert found["time_constants"] == pytest.approx(0.008 * 10 * 16)
    assert found["settled"] is False and "still remember" in found["sentences"][0]
    assert {slope["quantity"] for slope in found["slopes"]} == {TOP, OVER_LAW}
    assert "blocks.0.mlp.up.weight" in {slope["module"] for slope in found["slopes"]}
    assert not (short.folder / "singular-values-mup").exists()
    monkeypatch.setattr(loop, "train", None)
    assert match_singular_values(short, "mup", quiet) == found


def test_the_models_compared_are_the_trained_ones(make_study: Any, quiet: StudyProgress) -> None:
    """Queries start at zero, where nothing can be compared."""
    study = make_study(ladder=SHORT, recipe=RECIPE | {"weight_decay": 100.0})
    found = match_singular_values(study, "sp", quiet)
    (query,) = (
        slope["slope"]
        for slope in found["slopes"]
        if slope["module"] == "blocks.0.attention.query.weight" and slope["quantity"] == TOP
    )
    assert math.isfinite(query)
    assert found["settled"] is True and found["rule"] == "sp"
    assert "still remember" not in found["sentences"][0]


def test_time_constants_are_those_of_the_matrix_that_decays_least(short: Study) -> None:
    recipe = short.spec.recipe.recipe(0.01)
    for rule, factor in (("mup", 1.0), ("robust-layerwise", 8**-0.5)):
        run = short.run(rule, short.target.replace(units=1024), recipe)
        planned = plan(short.family, short.base, short.target, rule)
        assert time_constants(run, planned) == pytest.approx(0.01 * 10 * 16 * factor)


def slope(module: str, value: float, half: float = 0.1, quantity: str = TOP) -> Slope:
    return Slope(module, quantity, "width", 0, value, (value - half, value + half))


@pytest.mark.parametrize(
    ("slopes", "constants", "words"),
    [
        ([slope("b.0.up", 0.1), slope("b.1.up", -0.2)], 4.0, ["width^-0.20: they match"]),
        ([slope("up", 0.6)], 0.2, ["after 0.2 time constants"]),
        ([slope("up", 0.2, half=0.5)], 4.0, ["can't be said"]),
        ([slope("up", 0.6), slope("down", 0.0)], 4.0, ["do not match", "top singular value of up"]),
        ([slope("up", 0.0), slope("up", 0.6, quantity=OVER_LAW)], 4.0, ["they match"]),
    ],
)
def test_what_slopes_mean_is_said(slopes: list[Slope], constants: float, words: list[str]) -> None:
    said = sentences(slopes, constants)
    assert len(said) == len(words)
    for sentence, part in zip(said, words, strict=True):
        assert part in sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ladder": SHORT | {"width": [16]}}, "between widths; give two"),
        ({"recipe": RECIPE | {"weight_decay": 0.0}}, "recipe.weight_decay is 0"),
    ],
)
def test_what_can_not_be_compared_is_refused(
    make_study: Any, quiet: StudyProgress, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(WindtunnelError, match=words):
        match_singular_values(
            make_study(**{"ladder": SHORT, "recipe": RECIPE} | changes), None, quiet
        )
