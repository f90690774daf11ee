"""A whole study through a script of one's own, with the command line alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

WINDTUNNEL = [sys.executable, "-c", "from windtunnel.cli import main; main()"]
SCRIPT = """import math, random, sys
import windtunnel
width, tokens, rate, seed = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
if rate > 0.25:
    windtunnel.report(step=1, loss=math.nan)
    sys.exit()
luck = random.Random(f"{width} {tokens} {rate} {seed}").gauss(0, 0.002)
loss = 1.7 + 40 / (24 * width**2) ** 0.45 + 90 / tokens**0.4
loss *= math.exp(0.02 * (math.log2(rate) + 6) ** 2 + luck)
for step in (1, 2):
    windtunnel.report(step=step, steps=2, loss=loss * (2 - step / 2), tokens=tokens)
"""
STUDY = """name: own
run: {python} train.py {{width}} {{tokens}} {{lr}} {{seed}}
base: {{width: 32, depth: 2, tokens: 100k}}
ladder: {{width: [16, 32, 64], depth: 2, tokens: [100k, 200k, 300k, 400k]}}
target: {{width: 128, depth: 2, tokens: 600k}}
recipe: {{batch: 1000}}
workers: 2
search: {{hyperparameters: {{lr: {{low: 0.004, high: 0.064}}}}, seeds: 2}}
"""


def windtunnel(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*WINDTUNNEL, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "train.py").write_text(SCRIPT)
    (folder / "study.yaml").write_text(STUDY.format(python=sys.executable))
    ended = windtunnel("run", folder, "--json")
    assert ended.returncode == 0, ended.stderr
    return folder, json.loads(ended.stdout)


def test_every_step_works_from_its_rows(study: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = study
    assert summary["transfer"]["verdict"] == "transfers"
    assert abs(summary["tuned"]["lr"] / 2**-6 - 1) < 0.25
    assert summary["target"]["inside"] is True
    assert abs(summary["target"]["error_percent"]) < 2
    assert summary["coordinate_check"] is None
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "your command" in page and "train.py 128 600000" in page


def test_it_goes_on_where_it_was(study: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = study
    outputs = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/output.log")}
    again = windtunnel("run", folder, "--json")
    assert json.loads(again.stdout) == summary
    assert outputs == {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/output.log")}


def test_what_needs_the_model_says_what_to_do(study: tuple[Path, dict[str, Any]]) -> None:
    for command in ("check", "explain"):
        ended = windtunnel(command, study[0])
        assert ended.returncode == 2
        assert "never sees the model; in your own script `windtunnel.plan`" in ended.stderr


def test_a_script_that_fails_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('no data here')")
    (tmp_path / "study.yaml").write_text(STUDY.format(python=sys.executable))
    ended = windtunnel("tune", tmp_path)
    assert ended.returncode == 2
    assert "the command ended with status 1: no data here" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_asking_and_telling(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.format(python=sys.executable))
    asked = windtunnel("ask", tmp_path)
    assert asked.returncode == 0 and "windtunnel tell" in asked.stdout, asked.stderr
    answer = json.loads(windtunnel("ask", tmp_path, "--json").stdout)
    assert answer["command"][1] == "train.py"
    told = windtunnel("tell", tmp_path, answer["ticket"], "--loss", 2.5)
    assert told.returncode == 0 and "reached 2.5" in told.stdout
    wrong = windtunnel("tell", tmp_path, answer["ticket"])
    assert wrong.returncode == 2 and "one of --loss, --diverged and --failed" in wrong.stderr


def test_its_runs_are_listed(study: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = study
    runs = json.loads(windtunnel("runs", folder, "--json").stdout)
    assert len(runs) == summary["cost"]["runs"]
    assert {run["step"] for run in runs} == {"tune", "fit", "target"}
    assert sum(run["flops"] for run in runs if run["step"] == "target") == runs[-1]["flops"]
    printed = windtunnel("runs", "list", folder)
    assert printed.returncode == 0
    assert f"{len(runs)} of {len(runs)} runs have a result" in printed.stdout
    nothing = windtunnel("runs", folder / "nowhere")
    assert nothing.returncode == 2 and "no such study" in nothing.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that two folders share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    server: Any = request.getfixturevalue("postgres")
    return str(server.url)


def begin(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*WINDTUNNEL, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
    )


def test_two_machines_share_a_study_and_the_table_is_the_same(
    study: tuple[Path, dict[str, Any]], shared: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "study.yaml").write_text(
        STUDY.format(python=sys.executable).replace("workers: 2", "workers: 1")
    )
    slow = SCRIPT.replace("import windtunnel\n", "import windtunnel, time\ntime.sleep(0.1)\n")
    (here / "train.py").write_text(slow)
    main = begin("run", here, "--store", shared, "--json")
    until = time.monotonic() + 60
    while not (here / "shared.json").exists() and time.monotonic() < until:
        time.sleep(0.05)
    name = json.loads((here / "shared.json").read_text())["study"]
    (there / name).mkdir(parents=True)
    (there / name / "train.py").write_text(slow)
    time.sleep(1.0)
    join = ("work", shared, "--study", name, "--folder", there)
    other = begin(*join, "--workers", 1, "--idle", 10)
    output, errors = main.communicate(timeout=300)
    assert main.returncode == 0, errors
    other.terminate()
    words, trouble = other.communicate(timeout=60)
    assert other.returncode == 0, trouble
    assert "running runs were given back" in words
    assert list((there / name / "runs").iterdir()), "the other machine took part"
    summary, alone = json.loads(output), study[1]
    assert summary["tuned"]["lr"] == alone["tuned"]["lr"]
    assert summary["forecast"]["loss"] == alone["forecast"]["loss"]
    assert not (here / "study.db").exists()
    elsewhere = windtunnel("runs", here)
    assert elsewhere.returncode == 2
    assert "in a shared database; set WINDTUNNEL_STORE" in elsewhere.stderr
    (there / name / "train.py").write_text("print('another')")
    refused = windtunnel(*join)
    assert refused.returncode == 2 and "aren't the study's" in refused.stderr
    unknown = windtunnel("work", shared, "--study", "nobody", "--folder", there)
    assert unknown.returncode == 2 and f"there are {name}" in unknown.stderr.replace("\n", " ")
