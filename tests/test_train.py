"""The target on two processes that torchrun starts, undisturbed and with a rank killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")

from windtunnel.errors import WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.study import open_study
from windtunnel.studies.target import train_target
from windtunnel.studies.target_lock import target_held
from windtunnel.train import main

FORECAST = {"lr": 0.01, "loss": 2.0, "ci90": [1.0, 3.0], "others": {}, "verdict": "ok"}
STEPS = 150


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study whose forecast is made."""
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    draw = random.Random(0)
    documents = ["".join(draw.choices("abcdefgh ", k=250)) for _ in range(150)]
    text = tmp_path / "text.jsonl"
    text.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
    study = {
        "family": {"name": "gpt", "options": {"head_size": 8}},
        "data": {"source": str(text), "sequence_length": 16, "validation_sequences": 16},
        "device": "cpu",
        "base": {"width": 16, "depth": 1, "tokens": 16_384},
        "ladder": {"width": [16], "depth": 1, "tokens": [6_400]},
        "target": {"width": 32, "depth": 1, "tokens": 64 * STEPS},
        "recipe": {"batch": 64},
        "search": {"hyperparameters": {"lr": {"low": 0.004, "high": 0.064}}},
        "training": {"checkpoint": 1.5, "micro_batch": 1, "skip": {"limit": 3}},
    }
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    open_study(folder).write("forecast", FORECAST)
    return folder


def torchrun(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.Popen(
        [*command, "2", *options, "-m", "windtunnel.train", str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_folder(folder: Path) -> Path:
    (found,) = (folder / "runs").iterdir()
    return found


def losses(folder: Path) -> list[float]:
    lines = (run_folder(folder) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def ranks_of(agent: int) -> list[int]:
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds ranks in /proc")
def test_a_rank_that_dies_costs_the_steps_since_the_last_checkpoint(folder: Path) -> None:
    process = torchrun(folder, "--max-restarts", "2")
    try:
        while not list(folder.glob("runs/*/checkpoint-*/contents.json")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        with pytest.raises(WindtunnelError, match="another process trains its target now"):
            train_target(open_study(folder), StudyProgress(quiet=True))
        os.kill(ranks_of(process.pid)[-1], signal.SIGKILL)
        out, err = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            process.terminate()  # it ends its ranks
    assert process.returncode == 0, err
    assert "The target reached loss" in out
    outcome: dict[str, Any] = json.loads((folder / "target.json").read_text())
    assert outcome["environment"]["ranks"] == 2
    assert outcome["exact"]
    assert outcome["units"] == 64 * STEPS
    assert (folder / outcome["weights"]).is_file()
    # Bit for bit those of an undisturbed run: benchmarks/training/kills.py.
    assert len(losses(folder)) == STEPS


def test_nothing_is_trained_where_another_process_trains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
    for name, value in {**alone, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    with target_held(open_study(folder)):
        assert main([str(folder)]) == 2
    assert "another process trains its target now" in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_a_process_of_its_own_is_told_to_use_torchrun(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert main([str(folder)]) == 2
    assert "start it by torchrun" in capsys.readouterr().err
    assert main([]) == 2
    assert "usage: torchrun" in capsys.readouterr().err
    (folder / "forecast.json").unlink()
    assert main([str(folder)]) == 2
    assert "first run `windtunnel forecast" in capsys.readouterr().err
