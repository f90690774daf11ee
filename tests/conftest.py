"""A real PostgreSQL server for tests of the store; a test file as the program of several ranks."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says nothing on a busy machine; in CI this is Hypothesis' own choice.
settings.register_profile("any-machine", settings(), deadline=None)
settings.load_profile("any-machine")

_HOMES = ("/usr/lib/postgresql", "/usr/local/pgsql")


@dataclass
class PostgresServer:
    """A server that can be stopped and started again."""

    programs: Path
    folder: Path
    port: int
    password: str
    user: int | None

    @property
    def url(self) -> str:
        """Of a database that is there from the start."""
        return f"postgresql+psycopg://tester:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._control("start", "-w", "-o", f"-p {self.port} -c listen_addresses=127.0.0.1 -k ''")

    def stop(self) -> None:
        """Stop it at once, breaking off every connection."""
        self._control("stop", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        log = self.folder / "log"
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(log), "-s", *arguments)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs as its own user."""
        subprocess.run(
            [str(self.programs / program), *arguments],
            check=True,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user is not None else None,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    newest = sorted(path for home in _HOMES for path in Path(home).glob("*/bin/initdb"))
    return newest[-1].parent if newest else None


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A fresh server with a password; the test is skipped where there is none."""
    pytest.importorskip("psycopg", reason="pip install 'windtunnel[postgres]'")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL isn't installed here (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="windtunnel-postgres-"))
    user = None
    if os.getuid() == 0:  # it refuses to run as root
        user = pwd.getpwnam("nobody").pw_uid
        os.chown(folder, user, -1)
    port = free_port()
    password = secrets.token_hex(8)
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    server = PostgresServer(programs, folder, port, password, user)
    options = ("-U", "tester", "-A", "scram-sha-256", "--pwfile", str(folder / "password"))
    server.run("initdb", "-D", str(folder / "data"), *options, "--no-sync")
    server.start()
    try:
        yield server
    finally:
        server.stop()
        time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)


Ranks = Callable[[str, Path, int], list[Any]]


@pytest.fixture(scope="session")
def run_on_ranks() -> Ranks:
    """Runs a test file as a program, once a rank, and reads what each wrote.

    The program is given a folder and its rank, and writes `{rank}.json` there.
    """

    def run(program: str, folder: Path, count: int) -> list[Any]:
        port = str(free_port())
        here = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        here["PYTHONFAULTHANDLER"] = "1"  # a rank that crashes says where
        # As torchrun would set them.
        here |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
        ranks = [
            subprocess.Popen(
                [sys.executable, program, str(folder), str(rank)],
                env={**here, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        errors = [rank.communicate(timeout=300)[1] for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0] * count, "\n".join(errors)
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(count)]

    return run
