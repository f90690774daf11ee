from __future__ import annotations

from typing import Any

from windtunnel.studies.report import next_command, sentences, study_content, write_study_report
from windtunnel.studies.study import Study, open_study


def test_the_report_holds_the_verdicts(finished: Any) -> None:
    html = (finished.study.folder / "report.html").read_text(encoding="utf-8")
    forecast = finished.summary["forecast"]
    assert f"{forecast['loss']:.3f}" in html
    assert (finished.study.folder / "summary.json").exists()
    assert list((finished.study.folder / "figures").glob("*.svg"))


def test_what_to_set_comes_first_and_every_step_has_a_sentence(finished: Any) -> None:
    labels = [sentence.label for sentence in sentences(finished.study)]
    assert labels[0] == "Set"
    assert set(labels) == {"Set", "Forecast", "Target", "Cost", "Transfer", "Check"}


def test_seeds_are_those_that_were_trained(finished: Any) -> None:
    trained = {run.init_seed for run in finished.law.trained}
    assert set(study_content(finished.study).seeds) == trained == {0, 1}


def test_a_study_that_has_not_begun_can_be_reported(study: Study) -> None:
    path = write_study_report(study)
    assert "windtunnel run" in path.read_text(encoding="utf-8")


def test_it_can_be_reported_after_every_step(copied: Study) -> None:
    for step in ("target", "forecast", "fit", "transfer", "tune"):
        (copied.folder / f"{step}.json").unlink()
        study_content(copied)


def test_a_renamed_study_keeps_its_runs(copied: Study, finished: Any) -> None:
    file = copied.folder / "study.yaml"
    file.write_text(file.read_text().replace("name: small", "name: renamed"))
    renamed = study_content(open_study(copied.folder))
    assert renamed.seeds == study_content(finished.study).seeds


def test_the_next_command(copied: Study) -> None:
    assert next_command(copied).startswith("windtunnel explain")
    (copied.folder / "target.json").unlink()
    assert next_command(copied) == f"windtunnel run {copied.folder}"
