"""Examples for people who have a loop: each is run as its docstring says."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[2] / "examples"


def output(*command: str) -> str:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(name: str, width: int) -> list[str]:
    said = output(
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        str(EXAMPLES / "fsdp2_loop" / name),
        f"--width={width}",
    )
    return re.findall(r"loss ([\d.]+)", said)


def test_an_fsdp2_loop_adopts_windtunnel_in_under_15_lines() -> None:
    texts = [
        (EXAMPLES / "fsdp2_loop" / name).read_text().splitlines()
        for name in ("before.py", "after.py")
    ]
    changed = [
        line for line in difflib.unified_diff(*texts, n=0) if re.match(r"[+-](?![+-]{2})", line)
    ]
    code = [line for line in changed if line[1:].strip() and "torchrun" not in line]
    assert 5 <= len(code) < 15, code
    # At base it is the loop it was.
    at_base = losses("before.py", 64)
    assert len(at_base) == 3
    assert losses("after.py", 64) == at_base


def test_a_lightning_image_model() -> None:
    pytest.importorskip("lightning")
    said = output(str(EXAMPLES / "lightning_images.py"), "--width=24", "--steps=100", "--lr=0.03")
    found = re.search(r"width 24: loss ([\d.]+)", said)
    assert found, said
    assert 0 < float(found[1]) < 1.8  # chance is 2.30


def test_a_diffusion_models_step() -> None:
    said = output(str(EXAMPLES / "diffusion_step.py"), "--width=64", "--steps=150")
    found = re.search(r"width 64: loss ([\d.]+)", said)
    assert found, said
    assert 0 < float(found[1]) < 0.9  # predicting no noise at all gives 1
