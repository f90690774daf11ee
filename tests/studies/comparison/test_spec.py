from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from windtunnel.errors import WindtunnelError
from windtunnel.studies.comparison.spec import load_comparison, study_text

VALUE: dict[str, Any] = {
    "baseline": "adamw",
    "methods": {"adamw": {}, "lion": {"optimizer": "lion", "recipe": {"weight_decay": 0.3}}},
    "scales": [
        {"width": 16, "depth": 1, "tokens": 16_384},
        {"width": 32, "depth": 1, "tokens": 32_768},
    ],
    "tuning": {"flops": "1e9"},
    "family": {"name": "gpt", "options": {"head_size": 8}},
    "recipe": {"batch": 128, "weight_decay": 0.1},
    "search": {"hyperparameters": {"lr": {"low": 0.001, "high": 0.1}}},
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "optimizers.yaml"
    value = {key: value for key, value in (VALUE | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


def test_a_method_s_study_is_what_all_share_with_its_own_over_it(tmp_path: Path) -> None:
    spec = load_comparison(written(tmp_path))
    study = yaml.safe_load(study_text(spec, "lion"))
    assert study["optimizer"] == "lion"
    assert study["recipe"] == {"batch": 128, "weight_decay": 0.3}
    assert study["base"] == VALUE["scales"][0]
    assert study["ladder"] == {"width": [16], "depth": 1, "tokens": [16_384]}
    assert study["target"] == VALUE["scales"][1]
    assert study["search"]["policy"]["name"] == "sobol"
    assert study["budget"] == {"flops": 1e9}
    assert "optimizer" not in yaml.safe_load(study_text(spec, "adamw"))


def test_a_command_takes_the_family_s_place(tmp_path: Path) -> None:
    command = "python own.py --width {width} --lr {lr} --tokens {tokens} --seed {seed}"
    methods = VALUE["methods"] | {"own": {"run": command}}
    spec = load_comparison(written(tmp_path, methods=methods))
    study = yaml.safe_load(study_text(spec, "own"))
    assert study["run"] == command
    assert "family" not in study


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"baseline": "sgd"}, "baseline: no method 'sgd'; there are adamw, lion"),
        ({"methods": {"adamw": {}, "a/b": {}}}, "methods: 'a/b' is no name for a folder"),
        ({"lengths": [0.5]}, "lengths: 1 has to be among them"),
        ({"tuning": None}, "tuning: missing"),
        ({"tuning": {"flops": 1, "flop": 2}}, "tuning.flop: unknown key"),
        (
            {"methods": {"adamw": {}, "lion": {"optimizer": "lyon"}}},
            "as lion has it: optimizer: no optimizer 'lyon'",
        ),
        (
            {"recipe": {"batch": 128, "optimizer_settings": {"momentum": 0.9}}},
            "as adamw has it: recipe.optimizer_settings.momentum: 'adamw' has no such setting",
        ),
        (
            {"base": VALUE["scales"][0]},
            "as adamw has it: base: in a comparison `scales` and `tuning` say this",
        ),
        (
            {"methods": {"adamw": {}, "lion": {"budget": {"flops": 1}}}},
            "as lion has it: methods.lion.budget: in a comparison",
        ),
        (
            {"methods": {"adamw": {}, "lion": {"optimiser": "lion"}}},
            "as lion has it: optimiser: unknown key",
        ),
        ({"scales": [{"width": 16, "tokens": 16_384}]}, "as adamw has it: base.depth: missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(WindtunnelError, match=f"optimizers.yaml: {says}"):
        load_comparison(written(tmp_path, **changes))
