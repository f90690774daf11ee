"""The training loop beside a loop of 30 lines written by hand: the same model, the same numbers.

Both train the same run, in blocks of steps that take turns in one process (so that other load on
the machine meets both alike), and then in two processes side by side. The ratio is that of the
medians over blocks of steps a second, ours over the bare loop's: 1 or more means ours is as fast.
Both sides keep freed memory, as workers do; `--default-memory` measures both without.

The table is printed; --write also puts it into benchmarks/results/training_loop.{json,md}.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from committed import environment, footer, write
from torch import nn

from windtunnel.data.batches import TokenBatches
from windtunnel.data.corpus import Corpus
from windtunnel.models import Family, build_family
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.training.loop import train
from windtunnel.training.memory import keep_freed_memory

LENGTH, SEQUENCES, DEPTH = 64, 16, 2  # the quickstart's: 1,024 tokens a step
WIDTHS = (64, 128)
LIMIT_ALONE, LIMIT_SIDE_BY_SIDE = 0.97, 0.95


def subject(width: int) -> tuple[Run, Family, TokenBatches]:
    """The run both loops train: at base, where the plan changes nothing."""
    family = build_family("gpt", {"head_size": 8}, vocabulary_size=256, sequence_length=LENGTH)
    tokens = np.random.default_rng(0).integers(0, 256, size=2_000_000, dtype=np.uint8)
    corpus = Corpus(tokens, tokens[:10_000], "random", 256, 1, "random bytes")
    scale = Scale(width=width, depth=DEPTH, units=10**9)
    run = Run(
        family="gpt",
        family_options=tuple(sorted(family.options().items())),
        optimizer="adamw",
        rule="mup",
        base=scale,
        scale=scale,
        recipe=Recipe(lr=1e-3, batch_units=SEQUENCES * LENGTH),
        data=DataIdentity("random", LENGTH, 32),
    )
    return run, family, TokenBatches(corpus, LENGTH)


def bare(run: Run, family: Family, batches: TokenBatches) -> Iterator[None]:
    """What one would write by hand: fused AdamW, warm-up and decay, clipping, a list of losses."""
    torch.manual_seed(run.init_seed)
    model = family.build(run.scale)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups,
        lr=run.recipe.lr,
        betas=(0.9, 0.95),
        weight_decay=0.1,
        fused=True,
    )
    warmup, decay, losses = 0.1 * run.steps, 0.3 * run.steps, []
    for step in range(run.steps):
        inputs, targets = batches.training(step, run.data_seed, SEQUENCES)
        multiplier = min(1.0, (step + 1) / warmup, (run.steps - step) / decay)
        for group in optimizer.param_groups:
            group["lr"] = run.recipe.lr * multiplier
        loss = family.loss(model, (torch.from_numpy(inputs), torch.from_numpy(targets)))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        yield


class EnoughError(Exception):
    """Ends the training once all rounds are measured."""


def alternate(
    width: int, rounds: int, steps: int, meet: Callable[[], object]
) -> dict[str, list[float]]:
    """Steps a second of both loops in blocks that take turns; the first round only warms up.

    The bare loop's block runs inside our loop's progress callback, so neither needs a thread.

    Args:
        width: Width of the model.
        rounds: Blocks of each loop that count.
        steps: Steps in a block.
        meet: Called before each block, to start it together with other processes.
    """
    run, family, batches = subject(width)
    by_hand = bare(run, family, batches)
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    began = 0.0

    def progress(step: int, total: int, loss: float) -> None:
        nonlocal began
        if step % steps:
            return
        rates["ours"].append(steps / (time.perf_counter() - began))
        meet()
        began = time.perf_counter()
        for _ in range(steps):
            next(by_hand)
        rates["bare"].append(steps / (time.perf_counter() - began))
        if len(rates["bare"]) > rounds:
            raise EnoughError
        meet()
        began = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(EnoughError):
        # Half of the time is the other loop's, so the usual 20 s between checkpoints are 40 here.
        train(
            run,
            family=family,
            batches=batches,
            folder=Path(folder),
            on_progress=progress,
            checkpoint_seconds=40.0,
        )
    return {name: values[1:] for name, values in rates.items()}


def worker(width: int, rounds: int, steps: int, keep: bool, barrier: Any, results: Any) -> None:
    """One process: set up as a worker is, measure, hand the rates back."""
    torch.set_num_threads(1)
    if keep:
        keep_freed_memory()
    results.put(alternate(width, rounds, steps, barrier.wait))


def side_by_side(
    processes: int, width: int, rounds: int, steps: int, keep: bool
) -> dict[str, list[float]]:
    """Steps a second of that many processes together, block by block."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    arguments = (width, rounds, steps, keep, barrier, results)
    started = [context.Process(target=worker, args=arguments) for _ in range(processes)]
    for process in started:
        process.start()
    found = [results.get() for _ in started]
    for process in started:
        process.join()
    return {
        name: [sum(values) for values in zip(*(rates[name] for rates in found), strict=True)]
        for name in ("ours", "bare")
    }


def measure(rounds: int, seconds: float, keep: bool) -> dict[str, Any]:
    """Every case, with its ratio of medians and the limit it has to reach."""
    cases = []
    for width in WIDTHS:
        speed = statistics.median(side_by_side(1, width, 1, 10, keep)["bare"])
        steps = max(5, round(speed * seconds))
        for processes, limit in ((1, LIMIT_ALONE), (2, LIMIT_SIDE_BY_SIDE)):
            rates = side_by_side(processes, width, rounds, steps, keep)
            medians = {name: statistics.median(values) for name, values in rates.items()}
            cases.append(
                {
                    "width": width,
                    "processes": processes,
                    "steps_in_a_block": steps,
                    "median_steps_a_second": medians,
                    "ratio": medians["ours"] / medians["bare"],
                    "limit": limit,
                    "steps_a_second": rates,
                }
            )
            print(row(cases[-1]), flush=True)
    return {
        "rounds": rounds,
        "keep_freed_memory": keep,
        "cases": cases,
        "environment": environment(),
    }


def row(case: dict[str, Any]) -> str:
    """One case as a row of the table."""
    medians = case["median_steps_a_second"]
    return (
        f"| {case['width']} | {case['processes']} | {medians['ours']:.1f} | {medians['bare']:.1f} "
        f"| {case['ratio']:.3f} | {case['limit']} |"
    )


def page(summary: dict[str, Any]) -> str:
    """The summary as a Markdown page."""
    memory = "kept" if summary["keep_freed_memory"] else "given back to the system"
    return "\n".join(
        [
            "# The training loop beside a loop written by hand",
            "",
            f"Family gpt, depth {DEPTH}, {SEQUENCES} sequences of {LENGTH} tokens a step, fp32, "
            f"one thread a process; medians of {summary['rounds']} blocks each, in turns; freed "
            f"memory is {memory} on both sides.",
            "",
            "| width | processes | ours, steps/s | by hand, steps/s | ratio | at least |",
            "|---|---|---|---|---|---|",
            *(row(case) for case in summary["cases"]),
            *footer("training_loop", summary["environment"]),
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="blocks of each loop, 5 or more")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a block")
    parser.add_argument("--default-memory", action="store_true", help="don't keep freed memory")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    summary = measure(options.rounds, options.seconds, not options.default_memory)
    print(page(summary))
    if options.write:
        write("training_loop", summary, page(summary))


if __name__ == "__main__":
    main()
