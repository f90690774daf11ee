"""Kill a real small study at random moments and compare its table with an undisturbed one's.

It kills (kill -9) the main process or a worker, as the dice fall. The claim: the same command goes
on, no finished run is lost or repeated, nothing is left running, and every number is the same.
Writes `benchmarks/results/crash_recovery.{json,md}`, or elsewhere by --results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windtunnel.search.study_store import study_store

STUDY = """\
name: crash
family: {name: gpt, options: {head_size: 8}}
data: {source: stdlib, sequence_length: 64, validation_sequences: 64}
device: cpu
workers: 2
base: {width: 16, depth: 2, tokens: 32k}
ladder: {width: [16, 32], depth: 2, tokens: [32k, 64k]}
target: {width: 64, depth: 2, tokens: 128k}
recipe: {batch: 1024}
search: {hyperparameters: {lr: {low: 0.002, high: 0.03, points: 4}}, seeds: 2}
"""
COMMAND = [sys.executable, "-c", "from windtunnel.cli import main; main()", "tune"]
LEFT_RUNNING_SECONDS = 5.0


@dataclass
class Tally:
    """What the disturbed studies went through."""

    kills: list[dict[str, Any]] = field(default_factory=list)
    studies: int = 0
    restarts: int = 0
    left_running: int = 0
    finished_runs_changed: int = 0
    different_rows: int = 0


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    draw, tally = random.Random(options.seed), Tally()
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed = new_study(Path(scratch) / "undisturbed")
        began = time.monotonic()
        subprocess.run([*COMMAND, undisturbed], check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        reference = table_of(undisturbed)
        while len(tally.kills) < options.kills:
            folder = new_study(Path(scratch) / f"disturbed-{tally.studies}")
            tally.studies += 1
            disturb(folder, seconds, options.kills, draw, tally)
            table = table_of(folder)
            tally.different_rows += sum(a != b for a, b in zip(table, reference, strict=False))
            tally.different_rows += abs(len(table) - len(reference))
    write_results(options.results, tally, len(reference), seconds)
    if tally.left_running or tally.finished_runs_changed or tally.different_rows:
        sys.exit(f"crash recovery: FAILED, see {options.results / 'crash_recovery.md'}")


def disturb(folder: Path, seconds: float, most: int, draw: random.Random, tally: Tally) -> None:
    """Carry one study to its end while killing; every death of the main process restarts it."""
    results: dict[Path, tuple[int, int]] = {}
    process = start(folder)
    while True:
        enough = len(tally.kills) >= most
        wait = None if enough else draw.uniform(0.2, max(3.0, seconds / 4))
        try:
            status = process.wait(wait)
        except subprocess.TimeoutExpired:
            workers = children(process.pid)
            remember(folder, results)
            whole = not workers or draw.random() < 0.5
            victim = process.pid if whole else draw.choice(workers)
            os.kill(victim, signal.SIGKILL)
            held = len(results)
            tally.kills.append({"victim": "main" if whole else "worker", "finished": held})
            if whole:
                process.wait()
                tally.left_running += still_running(workers)
                tally.restarts += 1
                process = start(folder)
            continue
        if status == 0:
            break
        tally.restarts += 1  # the supervisor gave up on workers that died too often: same command
        process = start(folder)
    for path, identity in results.items():
        tally.finished_runs_changed += identity_of(path) != identity


def new_study(folder: Path) -> Path:
    """A study's folder with nothing but its file."""
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The command a person would type, again and again."""
    return subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.DEVNULL)


def table_of(folder: Path) -> list[tuple[object, ...]]:
    """Everything that must not depend on crashes; nothing that is time."""
    store = study_store(folder)
    rows = store.list()
    store.close()
    return [(r.number, r.run.key, r.purpose, r.state, r.loss, r.loss_se) for r in rows]


def remember(folder: Path, results: dict[Path, tuple[int, int]]) -> None:
    """Note every finished run's file the first time it is seen."""
    for path in folder.glob("runs/*/result.json"):
        results.setdefault(path, identity_of(path))


def identity_of(path: Path) -> tuple[int, int]:
    """Changes when a file is written again, even with the same content."""
    status = path.stat() if path.exists() else None
    return (status.st_ino, status.st_mtime_ns) if status else (0, 0)


def children(pid: int) -> list[int]:
    """The process ids of a process' children (Linux)."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def still_running(pids: list[int]) -> int:
    """How many of these go on running although their parent is dead; zombies don't."""
    deadline = time.monotonic() + LEFT_RUNNING_SECONDS
    while (left := sum(map(runs, pids))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def write_results(folder: Path, tally: Tally, rows: int, seconds: float) -> None:
    """The committed record, for machines and for people."""
    victims = [kill["victim"] for kill in tally.kills]
    outcome = {
        "kills": len(victims),
        "kills_of_main": victims.count("main"),
        "kills_of_a_worker": victims.count("worker"),
        "studies": tally.studies,
        "restarts": tally.restarts,
        "rows": rows,
        "undisturbed_seconds": round(seconds, 1),
        "left_running": tally.left_running,
        "finished_runs_changed": tally.finished_runs_changed,
        "different_rows": tally.different_rows,
        "finished_at_each_kill": [kill["finished"] for kill in tally.kills],
        "machine": {"platform": platform.platform(), "python": platform.python_version()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(outcome, indent=2) + "\n"
    (folder / "crash_recovery.json").write_text(text, encoding="utf-8")
    lines = [
        "# Crash recovery",
        "",
        f"`windtunnel tune` on a study of {rows} runs ({seconds:.0f} s undisturbed) was killed",
        f"(kill -9) at {len(victims)} random moments: the main process {victims.count('main')}",
        f"times, a worker {victims.count('worker')} times. The same command went on each time.",
        "",
        "| what | count | must be |",
        "|---|---|---|",
        f"| rows that differ from the undisturbed table | {tally.different_rows} | 0 |",
        f"| finished runs written again or lost | {tally.finished_runs_changed} | 0 |",
        f"| processes left running after a kill | {tally.left_running} | 0 |",
    ]
    (folder / "crash_recovery.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
