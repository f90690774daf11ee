"""Runs from a table become finished runs of a study; what doesn't belong is refused by its line."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.file import read_raw
from windtunnel.laws.sweeps.columns import parse_sweep_columns
from windtunnel.laws.sweeps.table import read_tuning_table
from windtunnel.report.progress import StudyProgress
from windtunnel.search.executors.run_files import run_folder
from windtunnel.search.executors.worker import _result_in
from windtunnel.search.study_store import study_store
from windtunnel.studies.fit import fit
from windtunnel.studies.forecast import forecast
from windtunnel.studies.import_runs import import_runs, import_sentences
from windtunnel.studies.imported_sweeps import imported_runs
from windtunnel.studies.report import sentences, study_content
from windtunnel.studies.study import Study, open_study
from windtunnel.studies.summary import summarise
from windtunnel.studies.transfer import transfer
from windtunnel.studies.tune import tune

HEADING = "width,tokens,lr,loss,seed"


def sweep(
    width: int, units: int, *, best: float = -6.0, seed: int = 0, loss: float = 3.0
) -> list[str]:
    """Rates off the study's own grid, with a bowl whose vertex is at 2 ** best."""
    draw = random.Random(f"{width} {units} {seed}")
    rates = [best + 0.1 + k / 2 for k in range(-5, 6)]
    return [
        f"{width},{units},{2.0**rate!r},"
        f"{loss * math.exp(0.02 * (rate - best) ** 2 + draw.gauss(0, 0.001))!r},{seed}"
        for rate in rates
    ]


def ladder(along_width: float = 0.0, along_length: float = 0.0) -> list[str]:
    rows = []
    for doublings, width in enumerate((16, 32, 64)):
        for more, units in enumerate((16_384, 131_072)):
            best = -6 + along_width * doublings + 3 * along_length * more
            rows += sweep(width, units, best=best, loss=3 - 0.2 * doublings - 0.3 * more)
    return rows


@pytest.fixture
def bring(study: Study, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Imports rows into the study."""

    def into(rows: list[str], heading: str = HEADING, columns: str = "") -> dict[str, Any]:
        path = tmp_path / "runs.csv"
        path.write_text("\n".join([heading, *rows]))
        given = parse_sweep_columns([columns] if columns else [])
        return import_runs(study, read_tuning_table(read_raw(path), given))

    return into


Bring = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("slope", [0.0, -0.8])
def test_transfer_judges_them(study: Study, bring: Bring, slope: float) -> None:
    outcome = bring(ladder(along_width=slope))
    assert (outcome["added"], outcome["known"], outcome["extra"]) == (66, 0, 0)
    found = transfer(study)
    assert found["slope"] == pytest.approx(slope, abs=0.05)
    assert found["axes"][0]["verdict"] == ("drifts" if slope else "transfers")


def test_twice_adds_nothing(study: Study, bring: Bring) -> None:
    bring(ladder())
    tuned, runs = study.read("tune"), imported_runs(study)
    again = bring(list(reversed(ladder())))
    assert (again["added"], again["known"], again["runs"]) == (0, 66, 66)
    assert study.read("tune") == tuned and imported_runs(study) == runs
    more = bring([*ladder(), *sweep(16, 16_384, seed=1)])
    assert (more["added"], more["known"]) == (11, 66)


def test_a_killed_import_goes_on(
    study: Study, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    from windtunnel.search.store import Store

    record, count = Store.record, iter(range(100))

    def killed(*arguments: Any) -> bool:
        if next(count) == 20:
            raise KeyboardInterrupt
        return record(*arguments)

    monkeypatch.setattr(Store, "record", killed)
    with pytest.raises(KeyboardInterrupt):
        bring(ladder())
    monkeypatch.setattr(Store, "record", record)
    assert bring(ladder())["runs"] == 66 == len(imported_runs(study))
    assert transfer(study)["verdict"] == "transfers"


def test_they_are_finished_and_marked_everywhere(study: Study, bring: Bring) -> None:
    outcome = bring([*sweep(16, 16_384), "16,16384,0.5,nan,0"])
    store = study_store(study.folder)
    rows = store.list()
    assert store.claim("worker") is None
    store.close()
    assert {row.state for row in rows} == {"finished", "diverged"}
    assert rows[0].purpose.endswith("runs.csv, line 2")
    tuned = study.read("tune")
    assert tuned is not None
    assert all(point["imported"] for point in tuned["sweeps"][0]["points"])
    assert summarise(study)["imported"]["runs"] == 12
    assert any("12 runs were trained elsewhere" in s.text for s in sentences(study))
    assert any(row.what.startswith("Imported") for row in study_content(study).cost)
    assert "12 runs from" in import_sentences(outcome, study)[0].text


def test_fit_and_forecast_use_them(
    study: Study, bring: Bring, known_law: Any, quiet: StudyProgress
) -> None:
    rows = []
    for width in (16, 32, 64):
        for units in (16_384, 131_072):
            params = study.family.parameter_count(study.proxy(width, units)).non_embedding
            rows += sweep(width, units, loss=known_law.loss(params, units))
    bring(rows)
    transfer(study)
    fit(study, quiet)
    assert {run.scale.units for run in known_law.trained} == {32_768, 65_536}
    said = forecast(study)
    params = study.family.parameter_count(study.target).non_embedding
    assert said["loss"] == pytest.approx(known_law.loss(params, study.target.units), rel=0.03)
    assert math.log2(said["lr"]) == pytest.approx(-6, abs=0.15)


def test_a_search_afterwards_keeps_them_beside_its_own(
    study: Study, bring: Bring, known_law: Any, quiet: StudyProgress
) -> None:
    bring(sweep(16, 16_384))
    outcome = tune(study, quiet)
    first = outcome["sweeps"][0]
    marks = [bool(point.get("imported")) for point in first["points"]]
    assert marks.count(True) == 11 and marks.count(False) >= 5
    assert bring(sweep(16, 16_384))["added"] == 0
    assert study.read("tune") == outcome


def test_the_very_run_a_search_would_train_is_there_already(study: Study, bring: Bring) -> None:
    bring([f"16,16384,{2**-6!r},3.1,0"])
    (imported,) = imported_runs(study)
    recipe = study.spec.recipe.recipe(lr=2**-6)
    assert imported.run == study.run(study.rule, study.proxy(16, 16_384), recipe)
    found = _result_in(run_folder(study.folder, imported.run), imported.run)
    assert found is not None and found["loss"] == 3.1


def test_a_run_trained_here_and_imported_counts_once(
    study: Study, bring: Bring, known_law: Any, quiet: StudyProgress
) -> None:
    bring([f"16,16384,{2**-6!r},3.1,0"])
    points = tune(study, quiet)["sweeps"][0]["points"]
    (point,) = (p for p in points if (p["lr"], p["seed"]) == (2**-6, 0))
    assert "imported" not in point  # the made-up training gave it another loss


def test_a_result_that_the_search_found_imported_is_marked(
    study: Study, bring: Bring, known_law: Any, quiet: StudyProgress
) -> None:
    recipe = study.spec.recipe.recipe(lr=2**-6)
    run = study.run(study.rule, study.proxy(16, 16_384), recipe)
    bring([f"16,16384,{2**-6!r},{known_law.result(run)['loss']!r},0"])
    points = tune(study, quiet)["sweeps"][0]["points"]
    assert [p["lr"] for p in points if p.get("imported")] == [2**-6]


@pytest.mark.parametrize(
    ("row", "heading", "words"),
    [
        ("128,262144,0.01,2.5,0", HEADING, "line 13: this is a run of the target"),
        ("16,16384,0.01,2.5,0,ntk", HEADING + ",rule", "line 13: the run is under the rule 'ntk'"),
        ("16,16384,0.01,2.5,0,0.3", HEADING + ",wd", "line 13: weight_decay is 0.3, and this"),
        ("16.5,16384,0.01,2.5,0", HEADING, "line 13: width 16.5 is no whole number"),
        ("16,16384,x,2.5,0", HEADING, "line 13, column 'lr'"),
    ],
)
def test_a_row_that_does_not_belong_is_refused_and_nothing_is_written(
    study: Study, bring: Bring, row: str, heading: str, words: str
) -> None:
    more = {HEADING: "", HEADING + ",rule": ",mup", HEADING + ",wd": ",0.1"}[heading]
    with pytest.raises(WindtunnelError) as refused:
        bring([*(each + more for each in sweep(16, 16_384)), row], heading)
    assert words in str(refused.value) and "\n" not in str(refused.value)
    assert imported_runs(study) == [] and study.read("tune") is None


def test_another_loss_of_the_same_run_is_refused(bring: Bring) -> None:
    bring(["16,16384,0.01,3.0,0"])
    with pytest.raises(WindtunnelError, match=r"line 2: the same run as .*, with another loss"):
        bring(["16,16384,0.01,2.9,0"])


def test_a_missing_column_is_asked_for(bring: Bring) -> None:
    with pytest.raises(WindtunnelError, match="--columns width=HEADING"):
        bring(["16384,0.01,3.0"], "tokens,lr,loss")
    with pytest.raises(WindtunnelError, match="--columns tokens=HEADING"):
        bring(["16,0.01,3.0"], "width,lr,loss")


def test_off_the_ladder_is_kept_as_an_extra(study: Study, bring: Bring) -> None:
    outcome = bring([*ladder(), *sweep(48, 16_384, best=-9.0)])
    assert outcome["extra"] == 11
    assert any("line 68, width 48" in remark for remark in outcome["remarks"])
    assert summarise(study)["imported"]["extra"] == 11
    assert transfer(study)["slope"] == pytest.approx(0, abs=0.05)


def test_steps_stand_for_tokens(study: Study, bring: Bring) -> None:
    bring(["16,256,0.01,3.0", "16,255,0.02,3.0"], "width,steps,lr,loss")
    assert {run.run.scale.units for run in imported_runs(study)} == {16_384}


def test_seeds_count_from_the_studys_first(study: Study, bring: Bring) -> None:
    bring(["16,16384,0.01,3.0,1337", "16,16384,0.01,3.1,42"])
    bring(["16,16384,0.02,3.2,7", "16,16384,0.02,3.3,1337"])
    by_seed = {run.origin["seed"]: run.run.init_seed for run in imported_runs(study)}
    assert by_seed == {"42": 0, "1337": 1, "7": 2}


def test_without_seeds_replicates_are_told_apart_by_their_loss(study: Study, bring: Bring) -> None:
    rows = ["16,16384,0.01,3.0", "16,16384,0.01,3.1", "16,16384,0.01,3.0"]
    assert bring(rows, "width,tokens,lr,loss")["added"] == 2
    assert bring(rows[::-1], "width,tokens,lr,loss")["added"] == 0
    assert [run.run.init_seed for run in imported_runs(study)] == [0, 1]


def with_policy(study: Study, name: str) -> Study:
    return open_study(study.folder, policy=name)


def table_of(path: Path, rows: list[str]) -> Any:
    path.write_text("\n".join([HEADING, *rows]), encoding="utf-8")
    return read_tuning_table(read_raw(path), {})


def test_a_ladder_begins_from_runs_that_are_paid_for(
    study: Study, tmp_path: Path, known_law: Any, quiet: StudyProgress
) -> None:
    study = with_policy(study, "ladder")
    outcome = import_runs(study, table_of(tmp_path / "paid.csv", ladder()))
    assert outcome["added"] == 6 * 11
    assert import_sentences(outcome, study)[-1].text.startswith("Next: windtunnel tune")
    found = tune(study, quiet)
    assert math.log2(found["recommended"]["lr"]) == pytest.approx(-6, abs=0.5)
    assert [axis["verdict"] for axis in found["axes"]] == ["transfers", "transfers"]
    assert known_law.trained == [], "they say enough"


def test_a_ladder_adds_what_the_paid_ones_lack(
    study: Study, tmp_path: Path, known_law: Any, quiet: StudyProgress
) -> None:
    study = with_policy(study, "ladder")
    import_runs(study, table_of(tmp_path / "paid.csv", ladder()[:22]))
    found = tune(study, quiet)
    assert found["axes"][0]["verdict"] == "transfers"
    assert {run.scale.width for run in known_law.trained} - {16}, "these were all 16 wide"
    with pytest.raises(WindtunnelError, match="has decided on runs already"):
        import_runs(study, table_of(tmp_path / "more.csv", sweep(16, 16_384, seed=1)))


def test_runs_that_a_policy_would_never_look_at_are_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match="the policy asha decides by its own runs alone"):
        import_runs(with_policy(study, "asha"), table_of(tmp_path / "paid.csv", ladder()))


def test_a_study_of_a_command_takes_them_as_its_own(tmp_path: Path) -> None:
    """A table goes into a study that would train by a command, and leads to a verdict."""
    (tmp_path / "study.yaml").write_text(
        "run: python train.py {width} {tokens} {lr} {seed}\n"
        "base: {width: 16, depth: 1, tokens: 16_384}\n"
        "ladder: {width: [16, 32, 64], depth: 1, tokens: [16_384, 131_072]}\n"
        "target: {width: 128, depth: 1, tokens: 262_144}\n"
        "recipe: {batch: 64}\n"
        "search: {hyperparameters: {lr: {low: 0.004, high: 0.064, points: 5}}, seeds: 2}\n"
    )
    study = open_study(tmp_path)
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([HEADING, *ladder(along_width=-0.8)]))
    outcome = import_runs(study, read_tuning_table(read_raw(path), {}))
    assert (outcome["added"], outcome["extra"]) == (66, 0)
    assert {paid.run.rule for paid in imported_runs(study)} == {"own"}
    found = transfer(study)
    assert found["slope"] == pytest.approx(-0.8, abs=0.05)
    assert found["axes"][0]["verdict"] == "drifts"
