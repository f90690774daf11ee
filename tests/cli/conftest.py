"""The command line as a person uses it, and the small study it is tried on."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from windtunnel import cli

SOURCE = Path(__file__).parents[2] / "src"
COMMAND = [sys.executable, "-c", "from windtunnel.cli import main; main()"]
STUDY = """\
name: tiny
family: {{name: gpt, options: {{head_size: 8}}}}
data: {{source: {text}, sequence_length: 16, validation_sequences: 16}}
device: cpu
workers: {workers}
base: {{width: 16, depth: 1, tokens: 1024}}
ladder: {{width: [8, 16], depth: 1, tokens: [512, 768, 1024]}}
target: {{width: 32, depth: 1, tokens: 1536}}
recipe: {{batch: 64}}
search: {{hyperparameters: {{lr: {{low: 0.016, high: 0.064, points: 3}}}}, seeds: 1}}
"""


@dataclasses.dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.output)


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """Starts commands in processes of their own, or runs them in this one."""

    cache: Path

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "OMP_NUM_THREADS": "1",
            "WINDTUNNEL_CACHE": str(self.cache),
        }
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # so that a signal meant for it reaches it alone
        )

    def end(self, process: subprocess.Popen[str]) -> Ended:
        output, errors = process.communicate(timeout=300)
        return Ended(process.returncode, output, errors)

    def run(self, *arguments: str | Path) -> Ended:
        return self.end(self.start(*arguments))

    def run_here(self, *arguments: str | Path) -> Ended:
        """In this process, which has imported torch already; it is not to be killed."""
        output, errors = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
            pytest.raises(SystemExit) as ended,
        ):
            patch.setenv("WINDTUNNEL_CACHE", str(self.cache))
            patch.setenv("PYTHONPATH", str(SOURCE))  # for the workers
            patch.setattr(os, "_exit", sys.exit)
            patch.setattr(sys, "argv", ["windtunnel", *map(str, arguments)])
            cli.main()
        return Ended(int(ended.value.code or 0), output.getvalue(), errors.getvalue())


def write_study(folder: Path, text: Path, workers: int = 1) -> Path:
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY.format(text=text, workers=workers), encoding="utf-8")
    return folder


def write_corpus(path: Path) -> Path:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 5))) for _ in range(40)]
    documents = [" ".join(draw.choices(words, k=60)) for _ in range(150)]
    path.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents), encoding="utf-8")
    return path


Windtunnel = Callable[..., Ended]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the module's own studies."""
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def command_line(scratch: Path) -> CommandLine:
    """The command line with a cache that the module shares."""
    return CommandLine(scratch / "cache")


@pytest.fixture(scope="module")
def make_study(scratch: Path) -> Callable[..., Path]:
    """Writes studies of one small corpus, by the name of their folder."""
    text = write_corpus(scratch / "text.jsonl")
    return lambda name, workers=1: write_study(scratch / name, text, workers)


@pytest.fixture
def windtunnel(tmp_path: Path) -> Windtunnel:
    """The command line in this process, with an empty cache."""
    return functools.partial(CommandLine.run_here, CommandLine(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study that has not begun."""
    return write_study(tmp_path / "study", write_corpus(tmp_path / "text.jsonl"))
