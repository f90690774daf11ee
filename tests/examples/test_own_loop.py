"""The example script, as a study's command, against our own loop: the very same losses."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")

from windtunnel.data import TokenBatches, default_cache, open_corpus
from windtunnel.models import build_family
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.executors.run_command import run_command
from windtunnel.spec import DataSpec, StudySpec
from windtunnel.studies.policy_tune import policy_tune
from windtunnel.studies.study import open_study
from windtunnel.training.loop import train

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_loop.py"


@pytest.mark.parametrize(("width", "seed", "lr"), [(48, 1000, 2**-5)])
def test_the_same_losses_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, seed: int, lr: float
) -> None:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text, draw = tmp_path / "text.jsonl", random.Random(0)
    documents = ["".join(draw.choices("abcdefgh ", k=2000)) for _ in range(150)]
    text.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents), encoding="utf-8")
    corpus = open_corpus(DataSpec(source=str(text), sequence_length=64), default_cache())
    family = build_family("gpt", {"head_size": 8}, vocabulary_size=256, sequence_length=64)
    run = Run(
        family="gpt",
        family_options=tuple(sorted(family.options().items())),
        optimizer="adamw",
        rule="mup",
        base=Scale(width=32, depth=2),
        scale=Scale(width=width, depth=2, units=20_480),
        recipe=Recipe(lr=lr, batch_units=1024),
        data=DataIdentity(corpus.content_hash, 64, 512),
        init_seed=seed,
        data_seed=seed,
    )
    ours = train(run, family=family, batches=TokenBatches(corpus, 64), folder=tmp_path / "ours")
    assert ours is not None
    command = f"{sys.executable} {EXAMPLE} --width {{width}} --tokens {{tokens}} --lr {{lr}}"
    spec = StudySpec.model_validate(
        {
            "run": f"{command} --seed {{seed}} --text {text}",
            "base": {"width": 32, "depth": 2, "tokens": 20_480},
            "ladder": {"width": [16, 48], "depth": 2, "tokens": [20_480]},
            "target": {"width": 64, "depth": 2, "tokens": 40_960},
            "recipe": {"batch": 1024},
            "search": {"hyperparameters": {"lr": {"low": 0.004, "high": 0.06}}},
        }
    )
    said: list[float] = []
    theirs = run_command(
        run,
        tmp_path / "study" / "runs" / run.key,
        spec,
        "cpu",
        lambda: False,
        lambda step, steps, loss: said.append(loss),
    )
    assert theirs is not None
    logged = [json.loads(x)["loss"] for x in (tmp_path / "ours/metrics.jsonl").open()]
    assert said[:-1] == logged
    assert (theirs["loss"], theirs["units"]) == (ours.loss, ours.units)
    assert theirs["params_non_embedding"] == ours.params_non_embedding


def test_a_study_through_it_gives_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search through the script finds what the search through our loop finds, to the bit."""
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text, draw = tmp_path / "text.jsonl", random.Random(0)
    documents = ["".join(draw.choices("abcdefgh ", k=2000)) for _ in range(150)]
    text.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents), encoding="utf-8")
    shared = {
        "base": {"width": 32, "depth": 2, "tokens": 10_240},
        "ladder": {"width": [16], "depth": 2, "tokens": [10_240]},
        "target": {"width": 64, "depth": 2, "tokens": 40_960},
        "recipe": {"batch": 1024},
        "workers": 2,
        "search": {
            "hyperparameters": {"lr": {"low": 0.004, "high": 0.06}},
            "policy": {"name": "random", "options": {"trials": 3}},
        },
    }
    command = f"{sys.executable} {EXAMPLE} --width {{width}} --tokens {{tokens}} --lr {{lr}}"
    sides = {
        "ours": {
            "family": {"name": "gpt", "options": {"head_size": 8}},
            "data": {"source": str(text), "sequence_length": 64, "validation_sequences": 512},
            "device": "cpu",
        },
        "script": {"run": f"{command} --seed {{seed}} --text {text}"},
    }
    tables = {}
    for name, own in sides.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "study.yaml").write_text(yaml.safe_dump(shared | own), encoding="utf-8")
        found = policy_tune(open_study(folder), StudyProgress(quiet=True))
        tables[name] = found["sweeps"][0]["points"], found["recommended"]
    assert tables["ours"] == tables["script"]
    assert len(tables["ours"][0]) == 3
