"""Comparisons of made-up training whose truth is known."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from windtunnel.comparing.compare_methods import CellVerdicts, compare_methods
from windtunnel.comparing.reading import read_method_runs
from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.file import read_raw
from windtunnel.report.comparison_page import comparison_page
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Run
from windtunnel.studies.comparison.carry_out import carry_out_comparison
from windtunnel.studies.comparison.methods import FIRST_SEED, open_methods
from windtunnel.studies.comparison.spec import load_comparison

LENGTHS = (0.5, 1.0)
# Lion as the truth has it here needs so many times less training.
FASTER = 1.5


@pytest.fixture
def path(tmp_path: Path, text: Path) -> Path:
    sizes = ((16, 16_384), (32, 32_768), (64, 65_536))
    value = {
        "baseline": "adamw",
        "methods": {"adamw": {}, "lion": {"optimizer": "lion"}, "sgd": {"optimizer": "sgd"}},
        "scales": [{"width": w, "depth": 1, "tokens": t} for w, t in sizes],
        "lengths": list(LENGTHS),
        "tuning": {"flops": 1.5e10},
        "family": {"name": "gpt", "options": {"head_size": 8}},
        "data": {"source": str(text), "sequence_length": 16, "validation_sequences": 16},
        "device": "cpu",
        "recipe": {"batch": 64},
        "search": {"hyperparameters": {"lr": {"low": 0.002, "high": 0.128}}},
    }
    path = tmp_path / "optimizers.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


@pytest.fixture
def law(known_law: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lion is faster; SGD is a copy of AdamW; luck is shared by the runs of a seed."""
    plain = known_law.result

    def result(run: Run) -> dict[str, Any]:
        made = plain(run)
        steps_ahead = FASTER if run.optimizer == "lion" else 1.0
        doublings = math.log2(run.recipe.lr) - known_law.best
        shared = random.Random(f"{run.init_seed} {run.scale}").gauss(0, 0.01)
        own = random.Random(run.key).gauss(0, 0.001)
        loss = 2.0 + 60.0 / (steps_ahead * run.scale.units) ** 0.4
        return made | {
            "seconds": 1e-4 * run.scale.units,
            "loss": loss * math.exp(0.02 * doublings**2 + shared + own),
        }

    monkeypatch.setattr(known_law, "result", result)
    return known_law


def twice(cell: CellVerdicts) -> CellVerdicts:
    return dataclasses.replace(cell, methods=3 * cell.methods)


def test_a_faster_method_and_a_copy_come_out_as_they_are(
    path: Path, law: Any, quiet: StudyProgress
) -> None:
    folder = path.parent / "out"
    found = carry_out_comparison(load_comparison(path), folder, quiet)
    verdicts = {one.method: one for _, one in found.headlines}
    assert verdicts["lion"].verdict == "better"
    assert verdicts["sgd"].verdict == "no difference shown"
    speed_up = verdicts["lion"].speed_up("units")
    assert speed_up is not None and speed_up.estimate is not None
    low, high = speed_up.estimate.ci90
    assert low < FASTER < high
    assert found.flags == ()
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "lion is better than adamw at width 64" in page
    assert page.count("<svg") == 3
    many = comparison_page(
        dataclasses.replace(found, cells=tuple(twice(cell) for cell in found.cells)), "many"
    )
    assert "Better than adamw at the largest scale, by loss: lion (-" in many
    assert "No difference from adamw is shown for sgd (" in many

    # Nothing is trained twice, and the table that was written says the same.
    trained = len(law.trained)
    carry_out_comparison(load_comparison(path), folder, quiet)
    assert len(law.trained) == trained
    read = read_method_runs(read_raw(str(folder / "runs.csv")), {}, None)
    again = compare_methods(read, "adamw")
    assert {one.method: one.verdict for _, one in again.headlines} == {
        method: one.verdict for method, one in verdicts.items()
    }


def test_methods_are_tuned_with_one_budget_on_seeds_that_do_not_count(
    path: Path, law: Any, quiet: StudyProgress
) -> None:
    found = carry_out_comparison(load_comparison(path), path.parent / "out", quiet)
    tuned = [run for run in law.trained if run.init_seed < FIRST_SEED]
    by_method = {name: [r for r in tuned if r.optimizer == name] for name in found.table.methods}
    counts = {len(runs) for runs in by_method.values()}
    assert len(counts) == 1 and counts.pop() > 8
    assert len({frozenset(r.recipe.lr for r in runs) for runs in by_method.values()}) == 1
    assert {run.scale.width for run in tuned} == {16}

    final = [run for run in law.trained if run.init_seed >= FIRST_SEED]
    # Methods see the same batches: seeds of the data are the same for all.
    seeds = {n: {(r.scale, r.data_seed) for r in final if r.optimizer == n} for n in by_method}
    assert len({frozenset(s) for s in seeds.values()}) == 1
    finals = [run for run in found.table.runs if run.stage == "final"]
    checks = [run for run in found.table.runs if run.stage == "spot check"]
    assert len(finals) == 3 * 3 * len(LENGTHS) * 5
    assert len(checks) == 3 * 2 * 3
    assert {run.scale["width"] for run in checks} == {64.0}


def test_a_changed_file_is_not_mixed_with_what_was_trained(
    path: Path, law: Any, quiet: StudyProgress
) -> None:
    folder = path.parent / "out"
    carry_out_comparison(load_comparison(path), folder, quiet)
    value = yaml.safe_load(path.read_text())
    value["recipe"]["batch"] = 128
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(WindtunnelError, match=r"adamw/study.yaml: is not what .* Nothing was lost"):
        carry_out_comparison(load_comparison(path), folder, quiet)


def test_a_file_changed_before_anything_was_trained_counts(
    path: Path, law: Any, quiet: StudyProgress
) -> None:
    folder = path.parent / "out"
    list(open_methods(load_comparison(path), folder))
    value = yaml.safe_load(path.read_text())
    value["recipe"]["batch"] = 128
    path.write_text(yaml.safe_dump(value))
    (first, *_) = open_methods(load_comparison(path), folder)
    assert first.study.spec.recipe.batch == 128


def test_brackets_have_no_common_budget_and_are_refused(
    path: Path, law: Any, quiet: StudyProgress
) -> None:
    value = yaml.safe_load(path.read_text())
    value["search"]["policy"] = "brackets"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(WindtunnelError, match=r"search\.policy: brackets spend what they need"):
        carry_out_comparison(load_comparison(path), path.parent / "out", quiet)
