from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from windtunnel.search.executors.process_tree import (
    descendants,
    kill,
    resident_bytes,
    with_variable,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of processes")
# A child in a session of its own, as torchrun gives its ranks, and a grandchild below it.
PROGRAM = """
import subprocess, sys
child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
subprocess.run([sys.executable, "-c", child], start_new_session=True)
"""


@pytest.fixture
def family() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        env={**os.environ, "WINDTUNNEL_TEST": "some value"},
    )
    deadline = time.monotonic() + 20
    while len(descendants(process.pid)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_all_below_a_process_are_found_and_ended(family: subprocess.Popen[bytes]) -> None:
    below = descendants(family.pid)
    assert len(below) == 2
    assert set(with_variable("WINDTUNNEL_TEST", "some value")) == {family.pid, *below}
    assert with_variable("WINDTUNNEL_TEST", "some") == []
    assert resident_bytes(below) > 2_000_000
    kill([family.pid, *below])
    family.wait(10)
    deadline = time.monotonic() + 10
    while with_variable("WINDTUNNEL_TEST", "some value"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill(below)  # those that have ended are no error


def test_this_process_is_never_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "PATH"
    assert os.getpid() not in with_variable(name, os.environ[name])
    assert resident_bytes([os.getpid()]) > 1_000_000
    assert resident_bytes([2**22 + 1]) == 0
