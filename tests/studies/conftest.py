"""A small study's folder, and an executor that makes results up by a law known to the tests."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")  # carrying a study out needs it

from windtunnel.models import build_family
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Run
from windtunnel.search.store import Store
from windtunnel.studies import execute, workflow
from windtunnel.studies.study import Study, open_study

MakeStudy = Callable[..., Study]


def write_text(path: Path) -> Path:
    draw = random.Random(0)
    documents = ["".join(draw.choices("abcdefgh ", k=250)) for _ in range(150)]
    path.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents), encoding="utf-8")
    return path


def write_study(folder: Path, text: Path, **changes: Any) -> Study:
    """Write and open a study with some keys of its file changed (None removes one)."""
    value: dict[str, Any] = {
        "name": "small",
        "family": {"name": "gpt", "options": {"head_size": 8}},
        "data": {"source": str(text), "sequence_length": 16, "validation_sequences": 16},
        "device": "cpu",
        "workers": 1,
        "base": {"width": 16, "depth": 1, "tokens": 16_384},
        "ladder": {"width": [16, 32, 64], "depth": 1, "tokens": [16_384, 32_768, 65_536, 131_072]},
        "target": {"width": 128, "depth": 1, "tokens": 262_144},
        "recipe": {"batch": 64},
        "search": {
            "hyperparameters": {"lr": {"low": 0.004, "high": 0.064, "points": 5}},
            "seeds": 2,
        },
    }
    value = {k: v for k, v in (value | changes).items() if v is not None}
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
    return open_study(folder)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of 150 short documents; its tokens are cached in the test's own folder."""
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    return write_text(tmp_path / "text.jsonl")


@pytest.fixture
def make_study(tmp_path: Path, text: Path) -> MakeStudy:
    """Writes and opens studies on that corpus."""

    def make(folder: str = "study", **changes: Any) -> Study:
        return write_study(tmp_path / folder, text, **changes)

    return make


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """A study that has not begun."""
    return make_study()


@pytest.fixture
def quiet() -> StudyProgress:
    """Progress that shows nothing."""
    return StudyProgress(quiet=True)


class KnownLaw:
    """Made-up results: a Chinchilla law with a bowl in log2 of the rate, and 0.2 % of noise.

    The optimum is 2**-6 at base; it stays there under any rule but `sp`, where it falls by an
    octave for every doubling of the width. `trained` lists what was trained, in order; `more` is
    what results say beside.
    """

    floor, amount_n, amount_d, alpha, beta = 1.7, 40.0, 90.0, 0.45, 0.4
    best, noise = -6.0, 0.002

    def __init__(self) -> None:
        self.trained: list[Run] = []
        self.diverges: Callable[[Run], bool] = lambda run: False
        self.fails: Callable[[Run], bool] = lambda run: False
        self.more: dict[str, Any] = {}

    def loss(self, params: float, units: float) -> float:
        """Loss at the best rate."""
        return self.floor + self.amount_n / params**self.alpha + self.amount_d / units**self.beta

    def result(self, run: Run) -> dict[str, Any]:
        """What training the run would have given."""
        self.trained.append(run)
        family = build_family(
            run.family, dict(run.family_options), vocabulary_size=256, sequence_length=16
        )
        count = family.parameter_count(run.scale)
        doublings = math.log2(run.scale.width / run.base.width)
        away = math.log2(run.recipe.lr) - self.best + (doublings if run.rule == "sp" else 0.0)
        luck = random.Random(run.key).gauss(0, self.noise)
        loss = self.loss(count.non_embedding, run.scale.units) * math.exp(0.02 * away**2 + luck)
        diverged = self.diverges(run)
        return {
            "key": run.key,
            "status": "diverged" if diverged else "finished",
            "loss": None if diverged else loss,
            "loss_se": None if diverged else 0.004,
            "units": run.scale.units,
            "steps": run.steps,
            "flops": family.flops_per_unit(run.scale, 16) * run.scale.units,
            "params": count.total,
            "params_non_embedding": count.non_embedding,
            "seconds": 1.0,
            "exact": True,
            "environment": {"torch": "made up"},
            **self.more,
        }


def make_results_up(patch: pytest.MonkeyPatch) -> KnownLaw:
    """Put made-up training in the place of worker processes; store and driver stay real."""
    law = KnownLaw()

    class InProcess:
        def __init__(self, folder: Path, store: Store, devices: list[str], **_: object) -> None:
            self.store = store

        def __enter__(self) -> InProcess:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def check(self) -> list[str]:
            while (claim := self.store.claim("in-process")) is not None:
                if law.fails(claim.run):
                    self.store.fail(claim, "the model is broken", hopeless=True)
                else:
                    self.store.finish(claim, law.result(claim.run))
            return []

    patch.setattr(execute, "Supervisor", InProcess)
    patch.setattr(execute, "carry_out", functools.partial(execute.carry_out, seconds=0))
    return law


@pytest.fixture
def known_law(monkeypatch: pytest.MonkeyPatch) -> KnownLaw:
    """Makes results up instead of training."""
    return make_results_up(monkeypatch)


def pretend_check(study: Study, rule: str, progress: StudyProgress) -> dict[str, Any]:
    """In the place of the coordinate check, which trains for seconds and has its own tests."""
    outcome = {
        "rule": rule,
        "verdict": "fail" if rule == "sp" else "pass",
        "axis": "width",
        "max_abs_slope": 1.0 if rule == "sp" else 0.1,
        "threshold": 0.4,
        "reason": "it was made up",
        "axes": [],
        "slopes": [],
        "curves": [],
    }
    study.write(f"check-{rule}", outcome)
    return outcome


@dataclasses.dataclass(frozen=True)
class Finished:
    """A whole study of made-up results, and what came of running it."""

    study: Study
    law: KnownLaw
    summary: dict[str, Any]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Not to be changed: copy its folder first."""
    scratch = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINDTUNNEL_CACHE", str(scratch / "cache"))
        patch.setattr(workflow, "check", pretend_check)
        law = make_results_up(patch)
        study = write_study(scratch / "study", write_text(scratch / "text.jsonl"))
        # Returned, not yielded: the patches must not outlive the study, or other files' tests in
        # this process would meet made-up results.
        return Finished(study, law, workflow.run_study(study, StudyProgress(quiet=True)))


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Study:
    """A copy of the finished study that a test may change."""
    shutil.copytree(finished.study.folder, tmp_path / "copied")
    return open_study(tmp_path / "copied")
