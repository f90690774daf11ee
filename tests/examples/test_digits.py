"""The example as its reader runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_rate_stays_put_under_mup_and_the_check_tells_the_rules_apart() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "examples" / "digits.py")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    best = {
        (rule, int(width)): float(rate)
        for rule, width, rate in re.findall(r"(\w+) width (\d+): best rate ([\d.]+)", run.stdout)
    }
    assert best["mup", 64] == best["sp", 64]  # base: nothing changes
    assert best["mup", 256] / best["mup", 64] <= 2
    assert best["mup", 64] / best["mup", 256] <= 2
    assert best["sp", 256] < best["mup", 256]
    assert "mup coordinate check: pass" in run.stdout
    assert "sp coordinate check: fail" in run.stdout
