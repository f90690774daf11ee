"""Does the coordinate check tell right rules from wrong ones, whatever the seeds and the rate?

The built-in GPT on text from the standard library, in width (32, 64, 128; depth 2) and in depth
(4, 8, 16; width 32), under every rule, at three rates, over five disjoint sets of three seeds.
--write puts the table into benchmarks/results/coordinate_check.{json,md}.
"""

from __future__ import annotations

import argparse
import argparse as module_with_text
import inspect
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.check import check
from windtunnel.scale import Scale

RESULTS = Path(__file__).parent / "results"
TEXT = torch.tensor(list(inspect.getsource(module_with_text).encode()))
RATES = (0.003, 0.01, 0.03)
SIZES = {"widths": (32, 64, 128), "depths": (4, 8, 16)}
EXPECTED = {
    ("widths", "sp"): "fail",
    ("widths", "mup"): "pass",
    ("depths", "mup"): "fail",
    ("depths", "completep"): "pass",
}


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """16 sequences of 64 bytes, chosen by the seed."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(TEXT) - 65, (16,), generator=generator)
    sequences = torch.stack([TEXT[start : start + 65] for start in starts.tolist()])
    return sequences[:, :-1], sequences[:, 1:]


def measure(sets: int) -> list[dict[str, Any]]:
    """One row a rule, axis, rate and set of seeds."""
    rows = []
    family = GPTFamily(vocabulary_size=256)
    for (axis, rule), expected in EXPECTED.items():
        for lr in RATES:
            for number in range(sets):
                began = time.process_time()
                sizes = {"widths": (), "depths": (), axis: SIZES[axis]}
                found = check(
                    family,
                    base=Scale(32, 2),
                    batch=batch,
                    lr=lr,
                    rule=rule,
                    seeds=tuple(range(3 * number, 3 * number + 3)),
                    **sizes,
                )
                rows.append(
                    {
                        "axis": found.axis,
                        "rule": rule,
                        "lr": lr,
                        "seeds": number,
                        "expected": expected,
                        "verdict": found.verdict,
                        "max_abs_slope": found.max_abs_slope,
                        "cpu_seconds": time.process_time() - began,
                    }
                )
                print(*rows[-1].values(), flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with one line a rule, axis and rate."""
    lines = [
        "| axis | rule | rate | verdicts | largest slope, min to max | CPU seconds a check |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["axis"], row["rule"], row["lr"]), []).append(row)
    for (axis, rule, lr), found in groups.items():
        verdicts = [row["verdict"] for row in found]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        slopes = [row["max_abs_slope"] for row in found]
        seconds = max(row["cpu_seconds"] for row in found)
        lines.append(
            f"| {axis} | {rule} | {lr} | {counts} | {min(slopes):.2f} to {max(slopes):.2f} | "
            f"{seconds:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(arguments.sets)
    print(table(rows))
    if arguments.write:
        machine = (
            f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
        )
        content = {"machine": machine, "threshold": 0.4, "rows": rows}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "coordinate_check.json").write_text(json.dumps(content, indent=2) + "\n")
        head = f"# Coordinate check\n\n{(__doc__ or '').strip()}\n\nMachine: {machine}.\n\n"
        (RESULTS / "coordinate_check.md").write_text(head + table(rows))


if __name__ == "__main__":
    main()
