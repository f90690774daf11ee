from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# 48 MB, because glibc learns to keep blocks of up to 32 MB. Another process, because the setting
# can't be undone in this one.
FAULTS = """
import resource, torch
from windtunnel.training.memory import keep_freed_memory
torch.set_num_threads(1)
def faults():
    for _ in range(3):
        torch.ones(12_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), keep_freed_memory(), faults())
"""


def test_freed_memory_is_kept() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("needs glibc")
    output = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert output[1] == "True"
    assert int(output[0]) > 100
    assert int(output[2]) < int(output[0]) / 2
