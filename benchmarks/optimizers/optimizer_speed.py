"""Nanoseconds a parameter of every elementwise update rule, beside torch's fused AdamW.

All in turns in one process, compiled and not, on one set of large matrices and one of many small
tensors.

    OMP_NUM_THREADS=1 python benchmarks/optimizers/optimizer_speed.py --write
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import committed
import torch
from torch import nn

from windtunnel.optimizers import optimizer_method, optimizer_names
from windtunnel.optimizers.classes import elementwise
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer
from windtunnel.optimizers.update_rule import UpdateRule

SETS = {
    "10 M in 10 matrices": 10 * [(1000, 1000)],
    "2 M in 1,000 small tensors": 500 * [(60, 60), (400,)],
}
REPEATS = 21
TARGET = 1.3


def parameters(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    """With gradients."""
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for parameter in made:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return made


def ways(rule: UpdateRule, shapes: list[tuple[int, ...]]) -> dict[str, Callable[[], object]]:
    """The ways to take a step."""
    make: Any = lambda **given: RuleOptimizer(parameters(shapes), rule, **given).step  # noqa: E731
    return {
        "compiled": make(compiled=True),
        "pieces": make(compiled=False),
    }


def measured(shapes: list[tuple[int, ...]]) -> list[dict[str, Any]]:
    """A row a rule."""
    count = sum(torch.Size(shape).numel() for shape in shapes)
    fused = torch.optim.AdamW(parameters(shapes), fused=True).step
    rows = []
    for name in optimizer_names():
        rule = optimizer_method(name).rule
        if rule is None or not rule.elementwise:
            continue
        runs = {"fused": fused, **ways(rule, shapes)}
        times: dict[str, list[float]] = {way: [] for way in runs}
        for repeat in range(REPEATS + 1):
            for way, run in runs.items():
                begun = time.perf_counter()
                run()
                if repeat:  # the first one makes state and compiles
                    times[way].append(1e9 * (time.perf_counter() - begun) / count)
        found = {way: statistics.median(values) for way, values in times.items()}
        rows.append({"name": name, **found, "ratio": found["compiled"] / found["fused"]})
        print(rows[-1], flush=True)
    return rows


def page(sets: dict[str, list[dict[str, Any]]], where: Any) -> str:
    """What is committed."""
    lines = [
        "# Time of elementwise optimizers beside torch's fused AdamW",
        "",
        f"Nanoseconds a parameter, float32, one thread; medians of {REPEATS} steps, all ways in "
        "turns. The ratio is of compiled to fused AdamW in the same turns; the target is at most "
        f"{TARGET}. Tensors of fewer than {elementwise.LEAST:,} elements are joined first. "
        "AdamW and SGD are shown by their rules; what is built for them is torch's own.",
    ]
    for title, rows in sets.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| rule | compiled | not compiled | fused AdamW | ratio |",
            "|---|---|---|---|---|",
            *(
                f"| {row['name']} | {row['compiled']:.2f} | {row['pieces']:.2f} "
                f"| {row['fused']:.2f} | {row['ratio']:.2f} |"
                for row in rows
            ),
        ]
    return "\n".join([*lines, *committed.footer("optimizers/optimizer_speed", where)])


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sets = {title: measured(shapes) for title, shapes in SETS.items()}
    where = committed.environment()
    text = page(sets, where)
    print(text)
    if options.write:
        committed.write("optimizer_speed", {"sets": sets, "where": where}, text)


if __name__ == "__main__":
    main()
