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
import statistics
import time
from typing import Any

import torch
from committed import environment, footer, write
from torch import nn

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale

BASE = Scale(64, 2)
# Vocabulary and target: 3.5, 29 and 108 million parameters.
SIZES = ((256, Scale(256, 4)), (50_257, Scale(256, 4)), (50_257, Scale(768, 4)))
RULES = ("mup", "completep")
LIMIT = 1.03
WARM_UP = 10


def subject(family: GPTFamily, target: Scale) -> nn.Module:
    """The model, with gradients that stay."""
    torch.manual_seed(0)
    model = family.build(target)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def milliseconds(optimizer: torch.optim.Optimizer) -> float:
    """Processor time of one step; with one thread that is its duration on an idle machine."""
    began = time.process_time()
    optimizer.step()
    return 1e3 * (time.process_time() - began)


def measure(rule: str, vocabulary: int, target: Scale, steps: int) -> dict[str, Any]:
    """One case: the median step of both sides and their ratio."""
    family = GPTFamily(vocabulary_size=vocabulary)
    model = subject(family, target)
    planned = plan(family, BASE, target, rule)
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
        "width": target.width,
        "depth": target.depth,
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
        "cases": [measure(rule, *size, steps) for size in SIZES for rule in RULES],
        "environment": environment(),
    }


def row(case: dict[str, Any]) -> str:
    """One case as a row of the table."""
    medians = case["median_milliseconds"]
    size = f"{case['vocabulary']:,} | {case['width']} x {case['depth']}"
    size += f" | {case['parameters'] / 1e6:.1f} M"
    return (
        f"| {case['rule']} | {size} | {case['groups']} | {medians['planned']:.2f} |"
        f" {medians['one']:.2f} | {case['ratio']:.3f} | {case['limit']} |"
    )


def page(summary: dict[str, Any]) -> str:
    """The summary as a Markdown page."""
    return "\n".join(
        [
            "# An optimizer step over a plan's parameter groups beside one over a single group",
            "",
            f"Family gpt, base {BASE.width} x {BASE.depth}, fused AdamW, fp32, one thread; medians "
            f"of the processor time of {summary['steps']} steps each, in turns.",
            "",
            "| rule | vocabulary | width x depth | parameters | groups | planned, ms | one, ms "
            "| ratio | at most |",
            "|---|---|---|---|---|---|---|---|---|",
            *(row(case) for case in summary["cases"]),
            *footer("param_groups", summary["environment"]),
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
        write("param_groups", summary, page(summary))


if __name__ == "__main__":
    main()
