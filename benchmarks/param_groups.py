"""A fused AdamW step over a plan's parameter groups beside one over a single group.

Two optimizers take steps in turns, in one process, so that other load on the machine meets both
alike; who goes first alternates. Both step the same parameters, gradients and state: copies that
lie elsewhere in memory differ by several per cent for that reason alone. The ratio is that of the
medians, planned groups over one group: 1 means that groups cost nothing.

Each further group is one more call of torch's kernel, tens of microseconds whatever the model's
size: with a vocabulary of bytes the model is tiny and may show it.

The table is printed; --write also puts it into benchmarks/results/param_groups.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale
from windtunnel.training.device import usable_cores
from windtunnel.training.environment import cpu_model

RESULTS = Path(__file__).parent / "results"
VOCABULARIES = (256, 50_257)
BASE, TARGET = Scale(64, 2), Scale(256, 4)
RULES = ("mup", "completep")
LIMIT = 1.03
WARM_UP = 10


def subject(family: GPTFamily) -> nn.Module:
    """The model, with gradients that stay."""
    torch.manual_seed(0)
    model = family.build(TARGET)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def milliseconds(optimizer: torch.optim.Optimizer) -> float:
    """Processor time of one step; with one thread that is its duration on an idle machine."""
    began = time.process_time()
    optimizer.step()
    return 1e3 * (time.process_time() - began)


def measure(rule: str, vocabulary: int, steps: int) -> dict[str, Any]:
    """One case: the median step of both sides and their ratio."""
    family = GPTFamily(vocabulary_size=vocabulary)
    model = subject(family)
    planned = plan(family, BASE, TARGET, rule)
    groups = param_groups(model, planned, lr=1e-3, weight_decay=0.1)
    sides = {
        "planned": torch.optim.AdamW(groups, fused=True),
        "one": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True),
    }
    sides["one"].state = sides["planned"].state
    took: dict[str, list[float]] = {name: [] for name in sides}
    for step in range(WARM_UP + steps):
        for name in sorted(sides, reverse=bool(step % 2)):
            took[name].append(milliseconds(sides[name]))
    medians = {name: statistics.median(times[WARM_UP:]) for name, times in took.items()}
    return {
        "rule": rule,
        "vocabulary": vocabulary,
        "groups": len(groups),
        "parameters": sum(p.numel() for p in model.parameters()),
        "median_milliseconds": medians,
        "ratio": medians["planned"] / medians["one"],
        "limit": LIMIT,
    }


def summarise(steps: int) -> dict[str, Any]:
    """Every case, and where it was measured."""
    torch.set_num_threads(1)
    return {
        "steps": steps,
        "cases": [measure(rule, size, steps) for size in VOCABULARIES for rule in RULES],
        "environment": {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "cpu": cpu_model(),
            "cores": usable_cores(),
            "load": os.getloadavg()[0],
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }


def row(case: dict[str, Any]) -> str:
    """One case as a row of the table."""
    medians = case["median_milliseconds"]
    size = f"{case['vocabulary']:,} | {case['parameters'] / 1e6:.1f} M"
    return (
        f"| {case['rule']} | {size} | {case['groups']} | {medians['planned']:.2f} |"
        f" {medians['one']:.2f} | {case['ratio']:.3f} | {case['limit']} |"
    )


def page(summary: dict[str, Any]) -> str:
    """The summary as a Markdown page."""
    where = ", ".join(f"{name} {value}" for name, value in summary["environment"].items())
    return "\n".join(
        [
            "# An optimizer step over a plan's parameter groups beside one over a single group",
            "",
            f"Family gpt, width {TARGET.width}, depth {TARGET.depth}, base {BASE.width} x "
            f"{BASE.depth}, fused AdamW, fp32, one thread; medians of the "
            f"processor time of {summary['steps']} steps each, in turns.",
            "",
            "| rule | vocabulary | parameters | groups | planned, ms | one, ms | ratio | at most |",
            "|---|---|---|---|---|---|---|---|",
            *(row(case) for case in summary["cases"]),
            "",
            f"Measured on: {where}.",
            "",
            "Made by `python benchmarks/param_groups.py --write`.",
            "",
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400, help="steps of each side, 100 or more")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    summary = summarise(options.steps)
    print(page(summary))
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "param_groups.json").write_text(json.dumps(summary, indent=2) + "\n")
        (RESULTS / "param_groups.md").write_text(page(summary))


if __name__ == "__main__":
    main()
