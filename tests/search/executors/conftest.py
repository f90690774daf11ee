"""A study's folder, and trainers of the tests' own that worker processes can import."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

STUDY = """
family: {name: gpt}
base: {width: 32, depth: 2, tokens: 128k}
ladder: {width: [32], depth: 2, tokens: [128k]}
target: {width: 64, depth: 2, tokens: 256k}
recipe: {batch: 1024}
search: {hyperparameters: {lr: {low: 0.002, high: 0.03}}}
"""


@pytest.fixture(autouse=True)
def _trainers_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *sys.path]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study's folder with its file."""
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path
