"""The example of a comparison carried out: an optimizer of one's own, and a pair of commands."""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip("torch")

from windtunnel.cli import app

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = [{"width": 16, "depth": 1, "tokens": 4096}, {"width": 32, "depth": 1, "tokens": 8192}]
# What a script of one's own may be: what it reports is all that is known of it.
SCRIPT = """
import argparse, math, windtunnel as wt
given = argparse.ArgumentParser()
for name in ("width", "tokens", "lr", "decay", "seed", "slow"):
    given.add_argument(f"--{name}", type=float)
given = given.parse_args()
away = math.log2(given.lr / 0.02) ** 2 + math.log2(given.decay / 0.1) ** 2
loss = (2 + given.slow * 90 / given.tokens**0.5) * (1 + 0.01 * away + 0.001 * (given.seed % 7))
wt.report(step=1, loss=loss, tokens=given.tokens)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shutil.copytree(EXAMPLES / "compare", tmp_path / "compare")
    return tmp_path / "compare"


def compared(path: Path) -> dict:
    done = CliRunner().invoke(app, ["compare", str(path), "--json", "--workers", "1"])
    assert done.exit_code in (0, 3, 4), done.output
    return json.loads(done.stdout)


def test_an_optimizer_of_one_s_own_is_compared_with_its_memory(folder: Path) -> None:
    path, draw = folder / "compare.yaml", random.Random(0)
    documents = ["".join(draw.choices("abcdefgh ", k=400)) for _ in range(200)]
    text = folder / "text.jsonl"
    text.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents), encoding="utf-8")
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    del value["methods"]["lion"]
    value |= {"scales": SMALL, "seeds": 3, "tuning": {"flops": 4e8}}
    value |= {"device": "cpu", "lengths": [1.0]}
    value |= {"data": {"source": str(text), "sequence_length": 16, "validation_sequences": 16}}
    value |= {"recipe": {"batch": 256}, "family": {"name": "gpt", "options": {"head_size": 8}}}
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    found = compared(path)
    assert [cell["scale"]["width"] for cell in found["cells"]] == [16, 32]
    (own,) = found["cells"][-1]["methods"]
    assert own["method"] == "sign-momentum"
    assert (folder / "compare" / "sign-momentum" / "tune.json").exists()


def test_a_pair_of_commands_is_compared(folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
    command = (
        f"{sys.executable} {folder / 'train.py'} --width {{width}} --tokens {{tokens}} --lr {{lr}} "
        "--decay {weight_decay} --seed {seed} --slow"
    )
    value = yaml.safe_load((folder / "compare.yaml").read_text(encoding="utf-8"))
    value = {key: value[key] for key in ("search", "recipe", "tuning")} | {
        "baseline": "old",
        "methods": {"old": {"run": f"{command} 1.0"}, "new": {"run": f"{command} 0.8"}},
        "scales": [{"width": 16, "depth": 1, "tokens": 4096}],
        "lengths": [0.5, 0.75, 1.0],
        "seeds": 5,
        "tuning": {"flops": 1.2e9},
    }
    path = folder / "commands.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    found = compared(path)
    assert found["verdict"] == "better"
