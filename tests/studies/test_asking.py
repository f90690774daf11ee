from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe, Run, Scale
from windtunnel.studies import workflow
from windtunnel.studies.asking import ask, tell
from windtunnel.studies.study import Study, open_study

COMMAND = "python train.py --width {width} --tokens {tokens} --lr {lr} --seed {seed}"


def carry_on(study: Study, law: Any, most: int = 500) -> list[dict[str, Any]]:
    """Ask and tell until it is done, with the tests' known law for a loss."""
    answers = []
    while (answer := ask(study))["state"] == "run":
        answers.append(answer)
        assert len(answers) < most
        run = run_of(study, answer)
        result = law.result(run)
        tell(study, answer["ticket"], loss=result["loss"])
    answers.append(answer)
    return answers


def run_of(study: Study, answer: dict[str, Any]) -> Run:
    scale = answer["scale"]
    base = study.run(answer["rule"], study.base, Recipe(**answer["recipe"]))
    return base.replace(
        scale=Scale(width=scale["width"], depth=scale["depth"], units=scale["units"]),
        init_seed=answer["init_seed"],
        data_seed=answer["data_seed"],
    )


def test_asking_and_telling_lead_through_the_whole_study(
    study: Study, finished: Any, known_law: Any
) -> None:
    """To the very table, forecast and target that carrying it out here gives."""
    answers = carry_on(study, known_law)
    assert answers[-1]["state"] == "done"
    assert [a["step"] for a in answers[:-1]] == sorted(
        (a["step"] for a in answers[:-1]), key=["tune", "fit", "target"].index
    )
    theirs = finished.study
    for step in ("tune", "transfer", "fit"):
        assert study.read(step) == theirs.read(step)
    assert study.read("forecast")["loss"] == theirs.read("forecast")["loss"]
    assert study.read("target")["loss"] == theirs.read("target")["loss"]


def test_two_who_ask_get_different_runs_and_then_wait(study: Study) -> None:
    answers = []
    while (answer := ask(study))["state"] == "run":
        answers.append(answer)
    assert answer["state"] == "wait" and "tell, then ask again" in answer["reason"]
    assert len({a["key"] for a in answers}) == len(answers) >= 2
    assert Path(answers[0]["folder"]).is_dir()
    json.dumps(answers)


def test_a_lease_that_ended_is_refused_in_words(study: Study) -> None:
    first = ask(study, lease_seconds=-1.0)
    again = ask(study)
    assert again["key"] == first["key"] and again["ticket"] != first["ticket"]
    with pytest.raises(WindtunnelError, match="lease ended and it was given to somebody else"):
        tell(study, first["ticket"], loss=2.0)
    assert "reached 2" in tell(study, again["ticket"], loss=2.0)
    assert "reached 2" in tell(study, again["ticket"], loss=2.0)  # twice changes nothing


def test_failures_are_asked_for_again_and_divergence_counts(study: Study) -> None:
    first = ask(study)
    assert "failed: no GPU" in tell(study, first["ticket"], failed="no GPU")
    again = ask(study)
    assert again["key"] == first["key"]
    assert "diverged" in tell(study, again["ticket"], loss=float("nan"))
    assert ask(study)["key"] != first["key"]


def test_only_rank_0_asks(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(WindtunnelError, match="this is rank 3; let rank 0 alone ask"):
        ask(study)


@pytest.mark.parametrize("ticket", ["", "12", "a-1", "12-1-2", "-"])
def test_a_ticket_that_is_none(study: Study, ticket: str) -> None:
    with pytest.raises(WindtunnelError, match="is no ticket such as 12-1"):
        tell(study, ticket, loss=2.0)


def test_a_ticket_of_no_run_and_a_loss_that_is_none(study: Study) -> None:
    answer = ask(study)
    with pytest.raises(WindtunnelError, match="no run has the ticket 99-1"):
        tell(study, "99-1", loss=2.0)
    with pytest.raises(WindtunnelError, match="a loss of -2; the laws need one above 0"):
        tell(study, answer["ticket"], loss=-2.0)


def test_a_command_comes_filled_in(make_study: Any) -> None:
    study = make_study(family=None, run=COMMAND)
    answer = ask(study)
    width, rate = answer["scale"]["width"], answer["recipe"]["lr"]
    assert answer["command"][:4] == ["python", "train.py", "--width", str(width)]
    assert str(rate) in answer["command"]
    assert answer["rule"] == "own"


def test_what_was_told_is_not_trained_again(
    study: Study, known_law: Any, quiet: Any, finished: Any
) -> None:
    for _ in range(5):
        answer = ask(study)
        tell(study, answer["ticket"], loss=known_law.result(run_of(study, answer))["loss"])
    told = len(known_law.trained)
    workflow.run_study(open_study(study.folder), quiet)
    assert len(known_law.trained) - told == len(finished.law.trained) - 5
