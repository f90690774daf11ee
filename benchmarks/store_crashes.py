"""Kill and freeze workers while they go through the store: nothing is lost, repeated or stuck.

Eight workers carry out 1,000 short runs; 200 times one of them, chosen at random, is killed with
SIGKILL and replaced, or stopped with SIGSTOP until its lease has ended and then woken. In the end
every run has one result, no run is still running, and every result that a worker believes it
handed in is the one that is there. SQLite by default; any other database by --url.

    python benchmarks/store_crashes.py --write
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import committed

from windtunnel.search.store import LeaseLost, Store, study_database
from windtunnel.search.trial import Trial

RUNS, WORKERS, BLOWS = 1000, 8, 200
LEASE_SECONDS = 0.6
STUDY = "crashes"


def work(url: str, name: str, log: Path) -> None:
    """Carry out runs of some 30 ms until there is none; note every result that was taken."""
    store = Store(url, STUDY, Trial.from_json)
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < 3 * LEASE_SECONDS:
        claim = store.claim(name, LEASE_SECONDS)
        if claim is None:
            time.sleep(0.01)
            continue
        idle_since = time.monotonic()
        try:
            for step in range(1, 4):
                time.sleep(0.01)
                store.report(claim, step, 3, 2.0)
            result = {"status": "finished", "loss": 1 + claim.number, "loss_se": None}
            store.finish(claim, {**result, "by": name, "fence": claim.fence})
        except LeaseLost:
            continue
        with log.open("a") as file:
            file.write(f"{claim.number} {claim.fence}\n")


def strike(url: str, folder: Path, seed: int) -> dict[str, Any]:
    """One whole storm."""
    store = Store(url, STUDY, Trial.from_json)
    for number in range(RUNS):
        store.create(number, Trial.of({"x": number}, seed=number), "storm")
    draw, context = random.Random(seed), multiprocessing.get_context("spawn")
    log = folder / "taken"
    log.touch()
    started = 0

    def start() -> Any:
        nonlocal started
        started += 1
        process = context.Process(target=work, args=(url, f"w{started}", log))
        process.start()
        return process

    begun = time.monotonic()
    workers = [start() for _ in range(WORKERS)]
    asleep: list[tuple[float, Any]] = []
    blows: Counter[str] = Counter()
    while sum(blows.values()) < BLOWS and len(store.results()) < RUNS:
        time.sleep(draw.uniform(0.02, 0.12))
        for until, process in list(asleep):
            if time.monotonic() > until:
                os.kill(process.pid, signal.SIGCONT)
                asleep.remove((until, process))
        up = [w for w in workers if w.is_alive() and all(w is not p for _, p in asleep)]
        if not up:
            continue
        struck = draw.choice(up)
        if draw.random() < 0.3:
            os.kill(struck.pid, signal.SIGSTOP)
            asleep.append((time.monotonic() + 2 * LEASE_SECONDS, struck))
            blows["frozen"] += 1
        else:
            os.kill(struck.pid, signal.SIGKILL)
            struck.join()
            workers[workers.index(struck)] = start()
            blows["killed"] += 1
    for _, process in asleep:
        os.kill(process.pid, signal.SIGCONT)
    for worker in workers:
        worker.join(120)
    last = start()  # whoever finds something left
    last.join(120)
    rows, results = store.list(), store.results()
    taken = Counter(line.split()[0] for line in log.read_text().splitlines())
    wrong = sum(results[row.number]["loss"] != 1 + row.number for row in rows if row.done)
    store.close()
    return {
        "seconds": time.monotonic() - begun,
        **blows,
        "finished": sum(row.state == "finished" for row in rows),
        "lost": sum(not row.done for row in rows),
        "still_running": sum(row.state == "running" for row in rows),
        "finished_twice": sum(count > 1 for count in taken.values()),
        "wrong_results": wrong,
    }


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of another database; it should be empty")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = strike(options.url or study_database(Path(folder)), Path(folder), seed=0)
    kind = "sqlite" if options.url is None else options.url.split(":")[0].split("+")[0]
    where = committed.environment()
    print(kind, found)
    if options.write:
        path = committed.RESULTS / "store_crashes.json"
        kinds = committed.read(path)["databases"] if path.exists() else {}
        kinds[kind] = found
        lines = [
            "# Crashes of workers",
            "",
            f"{WORKERS} workers, {RUNS:,} short runs, leases of {LEASE_SECONDS} s.",
            "",
            "| database | killed | frozen past the lease | finished | lost | still running "
            "| finished twice | wrong results |",
            "|---|---|---|---|---|---|---|---|",
            *(
                f"| {name} | {row['killed']} | {row['frozen']} | {row['finished']} | {row['lost']} "
                f"| {row['still_running']} | {row['finished_twice']} | {row['wrong_results']} |"
                for name, row in kinds.items()
            ),
        ]
        text = "\n".join([*lines, *committed.footer("store_crashes", where)])
        committed.write("store_crashes", {"databases": kinds, **where}, text)


if __name__ == "__main__":
    main()
