"""Kill one run a hundred times at random moments: are its losses those of an undisturbed one?

Once as a single process, once as two gloo processes under FSDP2, of which one or both are killed
(kill -9). The same call goes on each time. The claim: the sequence of losses in `metrics.jsonl`,
the validation loss and what was skipped are the same, bit for bit, and nothing is left behind.

    python benchmarks/training/kills.py --write    # about 10 minutes of two cores
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from committed import footer, machine, write

from windtunnel.data.batches import TokenBatches
from windtunnel.data.corpus import Corpus
from windtunnel.models.gpt import GPTFamily
from windtunnel.scale import DataIdentity, Recipe, Run, Scale, Skip
from windtunnel.training.loop import train
from windtunnel.training.ranks import joined_ranks

LENGTH, SEQUENCES, STEPS = 32, 8, 2000
CHECKPOINT_SECONDS = 0.25
LONGEST_WAIT = 3.0  # seconds between a start and a kill
FAMILY = GPTFamily(vocabulary_size=64, head_size=8)


def subject() -> tuple[Run, TokenBatches]:
    """A run that skips spikes, so that what it remembers of them has to survive, too."""
    tokens = np.random.default_rng(0).integers(0, 64, size=200_000, dtype=np.uint8)
    corpus = Corpus(tokens, tokens[:20_000], "random", 64, 1, "random tokens")
    run = Run(
        family="gpt",
        family_options=(),
        optimizer="adamw",
        rule="mup",
        base=Scale(16, 2, 1000),
        scale=Scale(32, 2, STEPS * SEQUENCES * LENGTH),
        recipe=Recipe(lr=0.02, batch_units=SEQUENCES * LENGTH),
        data=DataIdentity("random", LENGTH, 16),
        skip=Skip(limit=STEPS, spike=1.3),
    )
    return run, TokenBatches(corpus, LENGTH)


def carry_out(folder: Path, rank: int, ranks: int, port: int) -> None:
    """One process's part, from wherever the run is."""
    run, batches = subject()
    given: dict[str, Any] = {
        "family": FAMILY,
        "batches": batches,
        "folder": folder,
        "checkpoint_seconds": CHECKPOINT_SECONDS,
    }
    if ranks == 1:
        train(run, **given)
        return
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(ranks),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
    }
    with joined_ranks("cpu") as joined:
        train(run, **given, ranks=joined)


def start(folder: Path, ranks: int) -> list[int]:
    """Processes that go on with the run; forked, so that torch is imported once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(ranks):
        child = os.fork()
        if not child:
            code = 1
            try:
                sys.stderr = (folder.parent / f"{folder.name}-{rank}.log").open("a")
                carry_out(folder, rank, ranks, port)
                code = 0
            finally:
                os._exit(code)
        started.append(child)
    return started


def ended(children: Sequence[int], seconds: float) -> list[int] | None:
    """Exit codes once all children are gone, or None if some still run after that time."""
    until, codes = time.monotonic() + seconds, dict[int, int]()
    while True:
        for child in children:
            if child in codes:
                continue
            try:
                done, status = os.waitpid(child, os.WNOHANG)
            except ChildProcessError:  # waited for before
                codes[child] = -signal.SIGKILL
                continue
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
        if len(codes) == len(children):
            return list(codes.values())
        if time.monotonic() > until:
            return None
        time.sleep(0.005)


def disturbed(folder: Path, ranks: int, kills: int, draw: random.Random) -> dict[str, Any]:
    """Carry the run out while killing; what happened."""
    at: list[int] = []
    both = 0
    while True:
        children = start(folder, ranks)
        wait = draw.uniform(0.05, LONGEST_WAIT) if len(at) < kills else 3600.0
        codes = ended(children, wait)
        if codes is not None:
            if any(codes):
                raise SystemExit(f"a process failed by itself: {codes}, see {folder.parent}")
            break
        every = draw.random() < 0.5
        both += every and ranks > 1
        for child in children if every else [draw.choice(children)]:
            os.kill(child, signal.SIGKILL)
        log = folder / "metrics.jsonl"
        at.append(len(log.read_text().splitlines()) if log.exists() else 0)
        if ended(children, 2.0) is None:  # it waits for the dead one; torchrun would end it too
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            ended(children, 60.0)
    return {"kills": len(at), "all_processes": both, "logged_steps_at_kills": at}


def outcome(folder: Path) -> dict[str, Any]:
    """All that must not depend on kills."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    kept = ("status", "loss", "loss_se", "steps", "units", "skipped", "exact")
    return {"log": lines, **{name: result[name] for name in kept}}


def measure(kills: int, seed: int) -> list[dict[str, Any]]:
    """Both cases."""
    draw, cases = random.Random(seed), []
    for ranks in (1, 2):
        with tempfile.TemporaryDirectory() as scratch:
            calm, folder = Path(scratch) / "calm", Path(scratch) / "killed"
            began = time.monotonic()
            if ended(start(calm, ranks), 3600.0) != [0] * ranks:
                raise SystemExit("the undisturbed run failed")
            seconds = time.monotonic() - began
            found = disturbed(folder, ranks, kills, draw)
            expected, got = outcome(calm), outcome(folder)
            rows = zip(expected["log"], got["log"], strict=False)
            cases.append(
                {
                    "processes": ranks,
                    **found,
                    "undisturbed_seconds": round(seconds, 1),
                    "steps": STEPS,
                    "skipped": len(expected["skipped"]),
                    "different_rows": sum(a != b for a, b in rows)
                    + abs(len(expected["log"]) - len(got["log"])),
                    "same_result": expected == got,
                    "files_left": sorted(path.name for path in folder.iterdir()),
                }
            )
            print(row(cases[-1]), flush=True)
    return cases


def row(case: dict[str, Any]) -> str:
    """One case as a row of the table."""
    return (
        f"| {case['processes']} | {case['kills']} | {case['all_processes']} | {case['steps']:,} | "
        f"{case['skipped']} | {case['different_rows']} | {'yes' if case['same_result'] else 'NO'} |"
    )


def page(cases: list[dict[str, Any]]) -> str:
    """The cases as a Markdown page."""
    return "\n".join(
        [
            "# A hundred kills over one run",
            "",
            f"A GPT of width 32 on {STEPS:,} steps, checkpoints every {CHECKPOINT_SECONDS} s, was "
            f"killed (kill -9) up to {LONGEST_WAIT:.0f} s after each start; of two processes one "
            "or both, as the dice fell. Rows are those of `metrics.jsonl`: step, loss, rate, "
            "gradient norm, units, and why a step was skipped.",
            "",
            "| processes | kills | of all at once | steps | skipped | rows that differ (0) | "
            "result the same |",
            "|---|---|---|---|---|---|---|",
            *(row(case) for case in cases),
            *footer("training/kills", {"on": machine()}),
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="for each number of processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = measure(options.kills, options.seed)
    print(page(cases))
    if options.write:
        write("training_kills", cases, page(cases))
    if not all(case["same_result"] and not case["different_rows"] for case in cases):
        sys.exit(1)


if __name__ == "__main__":
    main()
