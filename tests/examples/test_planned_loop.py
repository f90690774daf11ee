"""The example under torchrun, as a study's command: it has its plan, and rank 0 reports."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.plan import Plan
from windtunnel.report.progress import StudyProgress
from windtunnel.search.executors.run_command import run_command
from windtunnel.search.executors.run_files import run_folder
from windtunnel.spec import StudySpec
from windtunnel.studies.policy_tune import policy_tune
from windtunnel.studies.study import Study, open_study

EXAMPLE = Path(__file__).parents[2] / "examples" / "planned_loop.py"
STUDY: dict[str, Any] = {
    "run": {
        "command": (
            f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2 "
            "planned_loop.py --dim {width} --lr {lr} --plan {plan} --steps {steps} --seed {seed}"
        ),
        "model": "planned_loop.py:build",
    },
    "unit": "steps",
    "base": {"width": 16, "depth": 2, "steps": 20},
    "ladder": {"width": [16, 64], "depth": 2, "steps": [20]},
    "target": {"width": 128, "depth": 2, "steps": 40},
    "recipe": {"batch": 1},
    "search": {
        "hyperparameters": {"lr": {"low": 0.004, "high": 0.06}},
        "policy": {"name": "random", "width": 16, "options": {"trials": 1}},
    },
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    return open_study(tmp_path)


def test_a_run_under_torchrun_has_its_plan_and_one_result(study: Study) -> None:
    recipe = study.spec.recipe.recipe(lr=0.03)
    run = study.run(study.rule, study.proxy(64, 20), recipe, seed=3)
    assert (run.rule, run.optimizer) == ("mup", "adamw")
    folder = run_folder(study.folder, run)
    steps: list[int] = []
    for attempt in range(3):  # as a study would: gloo (torch 2.13) aborts now and then at the end
        try:
            result = run_command(
                run, folder, study.spec, "cpu", lambda: False, lambda step, *_: steps.append(step)
            )
            break
        except RuntimeError as error:
            assert "SIGABRT" in str(error) and attempt < 2
            (folder / "rows.jsonl").unlink()
    assert result is not None and result["status"] == "finished"
    assert 0 < result["loss"] < 3.5
    rows = (folder / "rows.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [*range(1, 21), 20]
    plan = Plan.from_json(json.loads((folder / "plan.json").read_text()))
    assert (plan.rule, plan.base.width, plan.target.width) == ("mup", 16, 64)
    assert plan["1.0.weight"].lr == pytest.approx(1 / 4)


def test_a_search_goes_through_it(study: Study) -> None:
    found = policy_tune(study, StudyProgress(quiet=True))
    assert found["rule"] == "mup"
    assert found["trials"] == 1
    assert found["recommended"]["lr"] > 0


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ({"model": None}, "{plan} wants to know the model; add model: train.py:build"),
        ({"command": "x {width} {lr} {steps} {seed}"}, "the command has no {plan}"),
        ({"model": "build"}, "'build' is not of the form train.py:build"),
    ],
)
def test_a_plan_and_its_model_go_together(run: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        StudySpec.model_validate(STUDY | {"run": STUDY["run"] | run})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("build = 3", "run.model: .*train.py:build is no function"),
        ("other = 3", "run.model: .*train.py has no 'build'"),
        (None, "run.model: .*train.py: no such file"),
    ],
)
def test_a_model_that_is_none_is_refused(
    study: Study, tmp_path: Path, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / "train.py").write_text(text)
    spec = StudySpec.model_validate(STUDY | {"run": STUDY["run"] | {"model": "train.py:build"}})
    run = study.run(study.rule, study.proxy(64, 20), study.spec.recipe.recipe(lr=0.03))
    with pytest.raises(WindtunnelError, match=says):
        run_command(run, run_folder(tmp_path, run), spec, "cpu", lambda: False, lambda *_: None)
