from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization import alignment
from windtunnel.parametrization import check as coordinates
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.check import check, diagnose
from windtunnel.studies.study import Study


def test_it_tells_sp_from_mup(make_study: Any, quiet: StudyProgress) -> None:
    study = make_study()
    assert check(study, "sp", quiet)["verdict"] == "fail"
    own = check(study, None, quiet)
    assert own["rule"] == "mup"
    assert own["verdict"] != "fail"
    assert own["max_abs_slope"] < 0.5 < check(study, "sp", quiet)["max_abs_slope"]


def test_what_was_found_is_read_again(
    study: Study, quiet: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write("check-sp", {"verdict": "as before"})
    monkeypatch.setattr(coordinates, "check", None)
    assert check(study, "sp", quiet) == {"verdict": "as before"}


@pytest.mark.parametrize("rule", ["mupp", "../study"])
def test_an_unknown_rule_writes_nothing(study: Study, quiet: StudyProgress, rule: str) -> None:
    with pytest.raises(WindtunnelError, match=r"^rule: no rule"):
        check(study, rule, quiet)
    assert [path.name for path in study.folder.iterdir()] == ["study.yaml"]


def test_a_rule_s_file_is_checked_again_when_it_has_changed(
    study: Study, quiet: StudyProgress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    about = 'title = "x"\nsource = "x"\nstatus = "x"\n'
    path.write_text(f'extends = "mup"\n{about}')
    made: list[object] = []

    class Outcome:
        def to_json(self) -> dict[str, Any]:
            return {"verdict": "pass"}

    monkeypatch.setattr(coordinates, "check", lambda *_, rule, **__: made.append(rule) or Outcome())
    first = check(study, str(path), quiet)
    assert first["rule"] == "mine.toml" and check(study, str(path), quiet) == first
    path.write_text(f'extends = "sp"\n{about}')
    assert check(study, str(path), quiet)["rule_content"] != first["rule_content"]
    assert len(made) == 2


def test_a_diagnosis_is_measured_once_and_then_read(
    study: Study, quiet: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = diagnose(study, None, quiet)
    assert found["rule"] == "mup"
    heads = [entry for entry in found["alignment"] if entry["module"] == "head"]
    assert [point["width"] for point in heads[0]["alphas"]] == [16, 32, 64, 128]
    assert heads[0]["exponent"] == pytest.approx(1.0, abs=0.25)
    assert found["sentences"] == []  # full alignment is what mup's rates assume
    monkeypatch.setattr(alignment, "measure_alignment", None)
    assert diagnose(study, None, quiet) == found


def test_one_rate_for_all_widths_is_diagnosed(study: Study, quiet: StudyProgress) -> None:
    assert "the same rate" in " ".join(diagnose(study, "sp", quiet)["sentences"])
