"""How many runs a second go through the store with two workers.

One process decides (a run of ten hyperparameters at a time, as many open as a lag of 8 allows), two
others claim, report once and finish with a cost. Nothing is trained. SQLite by default; any other
database by --url. From an empty study, and from one with 5,000 finished runs.

    python benchmarks/store_speed.py --write
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import committed
import numpy as np

from windtunnel.search.store import Store, study_database
from windtunnel.search.trial import Trial

RUNS = 1500
EXISTING = 5000
LAG = 8
REPEATS = 3
NAMES = [f"h{place}" for place in range(10)]


def trial(number: int) -> Trial:
    """A run of ten hyperparameters."""
    values = np.random.default_rng(number).random(len(NAMES)).tolist()
    return Trial.of(dict(zip(NAMES, values, strict=True)), fidelity=100.0, seed=number)


def carry_out(url: str, study: str, worker: str, go: Event, counts: Any) -> None:
    """Claim, report, finish, until nothing has come for a while."""
    store = Store(url, study, Trial.from_json)
    go.wait()
    done, idle_since = 0, time.monotonic()
    while time.monotonic() - idle_since < 1.0:
        claim = store.claim(worker)
        if claim is None:
            time.sleep(0.001)
            continue
        store.report(claim, 1, 1, 2.0)
        result = {"key": claim.run.key, "status": "finished", "loss": 2.0, "flops": 1e12}
        store.finish(claim, {**result, "loss_se": None, "seconds": 1.0})
        done += 1
        idle_since = time.monotonic()
    counts.put((worker, done, idle_since))


def existing(store: Store[Trial], count: int) -> None:
    """Runs that are there already."""
    for number in range(count):
        result = {"status": "finished", "loss": 2.0, "loss_se": None, "flops": 1e12}
        store.record(number, trial(number), "before", result)


def measure(url: str, study: str, before: int) -> dict[str, float]:
    """Runs a second, and the smaller worker's share."""
    store = Store(url, study, Trial.from_json)
    existing(store, before)
    context = multiprocessing.get_context("spawn")
    go, counts = context.Event(), context.Queue()
    workers = [
        context.Process(target=carry_out, args=(url, study, name, go, counts))
        for name in ("one", "two")
    ]
    for worker in workers:
        worker.start()
    time.sleep(2.0)  # until both have imported everything
    go.set()
    begun, made = time.monotonic(), 0
    while made < RUNS:
        open_now = made + before - len(store.results()) if made % LAG == 0 else 0
        if open_now >= 4 * LAG:
            time.sleep(0.002)
            continue
        store.create(before + made, trial(before + made), "measured")
        made += 1
    ended = [counts.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    store.close()
    done = [count for _, count, _ in ended]
    assert sum(done) == RUNS, done
    return {
        "runs_a_second": RUNS / (max(at for _, _, at in ended) - begun),
        "least_share": min(done) / max(done),
    }


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of another database than SQLite in a temporary folder")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = []
    for before in (0, EXISTING):
        found = []
        for repeat in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                url = options.url or study_database(Path(folder))
                found.append(measure(url, f"speed {before} {repeat} {time.time()}", before))
        rows.append(
            {
                "existing": before,
                "runs_a_second": statistics.median(f["runs_a_second"] for f in found),
                "slowest": min(f["runs_a_second"] for f in found),
                "least_share": min(f["least_share"] for f in found),
            }
        )
        print(rows[-1], flush=True)
    where = committed.environment()
    kind = "SQLite" if options.url is None else options.url.split(":")[0]
    lines = [
        "# The store's speed",
        "",
        f"{kind}; runs of ten hyperparameters through two workers, with creating, claiming, one "
        f"report, finishing and a cost; {RUNS:,} runs, {REPEATS} times.",
        "",
        "| runs there before | runs a second (median) | slowest | smaller worker's share of the "
        "other's |",
        "|---|---|---|---|",
        *(
            f"| {row['existing']:,} | {row['runs_a_second']:.0f} | {row['slowest']:.0f} "
            f"| {row['least_share']:.2f} |"
            for row in rows
        ),
        "",
        "Optuna on SQLite, two workers, ask and tell: 39 a second (126 with SQLite's write-ahead "
        "log and synchronous=NORMAL), measured earlier on this kind of machine.",
    ]
    text = "\n".join([*lines, *committed.footer("store_speed", where)])
    print(text)
    if options.write:
        committed.write("store_speed", {"rows": rows, **where}, text)


if __name__ == "__main__":
    main()
