"""What choosing a population by timing costs where it is wrong: the chosen way beside the best.

For models and batches on both sides of where a population pays, on CPUs of one thread: `choose` is
asked several times, for one process and for as many as there are cores; then each way's own rate is
measured in turns, that of several processes by several processes.

    python benchmarks/population_choice.py --write    (ten minutes on two idle cores)
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from committed import environment, footer, write
from population_subjects import Case, subject
from population_variants import enough, loop_rate, population, seconds_for

from windtunnel.training.choose import choose
from windtunnel.training.device import usable_cores
from windtunnel.training.memory import keep_freed_memory

CASES = (
    Case("mlp", 32, 4, 32, 1),
    Case("mlp", 32, 64, 32, 1),
    Case("mlp", 256, 16, 64, 1),
    Case("gpt", 32, 2, 1, 16),
    Case("gpt", 32, 64, 1, 16),
    Case("gpt", 32, 8, 4, 32),
    Case("gpt", 32, 16, 8, 64),
    Case("gpt", 64, 4, 2, 32),
    Case("gpt", 64, 16, 16, 64),
    Case("gpt", 128, 8, 4, 32),
    Case("gpt", 128, 8, 16, 64),
)
CPU = torch.device("cpu")
ASKED, ROUNDS, SECONDS = 5, 7, 1.0
PERCENT_AT_MOST = 5.0


def helper(pipe: Connection) -> None:
    """Another process that trains one run whenever it is told to."""
    torch.set_num_threads(1)
    keep_freed_memory()
    while (case := pipe.recv()) is not None:
        pipe.send(loop_rate(case, CPU, SECONDS))


def beside(case: Case, pipes: list[Connection]) -> float:
    """Steps a second of this process and its helpers together, one run each."""
    for pipe in pipes:
        pipe.send(case)
    return loop_rate(case, CPU, SECONDS) + sum(pipe.recv() for pipe in pipes)


def measured(case: Case, pipes: list[Connection]) -> dict[str, Any]:
    """One case: what is chosen, and the rates of what could have been."""
    runs, family, batches = subject(case)
    processes = len(pipes) + 1
    chosen: dict[int, list[bool]] = {1: [], processes: []}
    began = time.perf_counter()
    for count, choices in chosen.items():
        for _ in range(ASKED):
            found = choose(runs, family=family, batches=batches, processes=count)
            choices.append(found.population is not None)
    choosing = (time.perf_counter() - began) / (ASKED * len(chosen))
    stacked = population(case, CPU, capture=False)
    steps = enough(stacked, SECONDS)
    ways: dict[str, Callable[[], float]] = {
        "1": lambda: loop_rate(case, CPU, SECONDS),
        str(processes): lambda: beside(case, pipes),
        "population": lambda: case.members * steps / seconds_for(stacked, steps),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, rate in ways.items():
            rates[name].append(rate())
    median = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "case": case.name,
        "members": case.members,
        "rates": rates,
        "seconds_to_choose": choosing,
        "against": {
            str(count): {
                "gain": median["population"] / median[str(count)],
                "chosen": choices,
                "lost_percent": max(
                    lost(median["population"], median[str(count)], choice) for choice in choices
                ),
            }
            for count, choices in chosen.items()
        },
    }


def lost(stacked: float, single: float, chosen: bool) -> float:
    """How much slower the chosen way is than the best, in percent of the best's rate."""
    return 100 * (1 - (stacked if chosen else single) / max(stacked, single))


def page(found: list[dict[str, Any]], where: dict[str, Any]) -> str:
    """The table that is committed."""
    lines = [
        "# What is lost by choosing a population by timing",
        "",
        "Depth 2, AdamW, one thread a process. Gain: member steps a second of all runs at once in "
        "one process, over those of one run in each of so many processes, both measured; medians "
        f"of {ROUNDS} rounds. Chosen: how often of {ASKED} times `choose` took the population. "
        "Lost: what the slower of its choices loses against the best way.",
        "",
        "| model, batch | members | processes | gain | chosen | lost | a choice takes |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in found:
        for count, row in case["against"].items():
            lines.append(
                f"| {case['case']} | {case['members']} | {count} | {row['gain']:.2f} "
                f"| {sum(row['chosen'])} of {len(row['chosen'])} | {row['lost_percent']:.1f} % "
                f"| {case['seconds_to_choose']:.1f} s |"
            )
    worst = max(row["lost_percent"] for case in found for row in case["against"].values())
    verdict = "met" if worst <= PERCENT_AT_MOST else "MISSED"
    lines += ["", f"Most lost: {worst:.1f} % (at most {PERCENT_AT_MOST:.0f} %: {verdict})."]
    return "\n".join([*lines, *footer("population_choice", where)])


def main() -> None:
    """Measure, print and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    where = environment()
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(usable_cores() - 1):
        own, others = context.Pipe()
        processes.append(context.Process(target=helper, args=(others,)))
        processes[-1].start()
        pipes.append(own)
    found = []
    try:
        for case in CASES:
            found.append(measured(case, pipes))
            print(found[-1]["case"], found[-1]["against"], flush=True)
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join()
    text = page(found, where)
    print(text)
    if options.write:
        write("population_choice", {"environment": where, "cases": found}, text)


if __name__ == "__main__":
    main()
