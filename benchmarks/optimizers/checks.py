"""Does every optimizer pass the coordinate check under its rule, at widths 64 to 512?

The built-in GPT on text from the standard library, three seeds, at half the rate that
`optimizer_drift` found best where that is known, else at the optimizer's usual one.

    python benchmarks/optimizers/checks.py --write    # about 15 minutes of one core
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from committed import RESULTS, machine, read, write

from windtunnel.models.gpt import GPTFamily
from windtunnel.optimizers import geometry_of, optimizer_names
from windtunnel.parametrization.check import check
from windtunnel.scale import Scale

WIDTHS = (64, 128, 256, 512)
BASE = Scale(64, 2)
FAMILY = GPTFamily(vocabulary_size=256, head_size=16)
TEXT = torch.tensor(list(inspect.getsource(argparse).encode()))
# Where nothing divides gradients by their size, seeds scatter more.
SEEDS = {"sgd": 16}
FOUND = RESULTS / "optimizer_checks.json"  # rows of optimizers that aren't asked for are kept
DRIFT = RESULTS / "optimizer_drift.json"


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """16 sequences of 32 bytes, chosen by the seed."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(TEXT) - 33, (16,), generator=generator)
    sequences = torch.stack([TEXT[start : start + 33] for start in starts.tolist()])
    return sequences[:, :-1], sequences[:, 1:]


def rate(name: str) -> float:
    """Half of the best rate at the smallest width of the drift's sweeps."""
    known = read(DRIFT)["lines"] if DRIFT.exists() else []
    for line in known:
        if line["optimizer"] == name and line["optima"]:
            return 2.0 ** float(next(iter(line["optima"].values()))["log2_value"] - 1)
    return 0.1 if name == "sgd" else 2.0**-7


def row(name: str) -> dict[str, Any]:
    """One optimizer's check."""
    begun = time.monotonic()
    found = check(
        FAMILY,
        base=BASE,
        widths=WIDTHS,
        batch=batch,
        lr=rate(name),
        rule="mup",
        optimizer=name,
        seeds=range(SEEDS.get(name, 3)),
    )
    return {
        "optimizer": name,
        "geometry": str(geometry_of(name)),
        "lr": rate(name),
        "verdict": found.verdict,
        "max_abs_slope": found.max_abs_slope,
        "modules": list(found.modules),
        "reason": found.reason,
        "seconds": time.monotonic() - begun,
    }


def page(rows: list[dict[str, Any]]) -> str:
    """The table in words."""
    lines = [
        "# The coordinate check of every optimizer",
        "",
        f"The built-in GPT under mup at widths {', '.join(map(str, WIDTHS))}, depth {BASE.depth}, "
        "three seeds (SGD: sixteen), five steps. A slope is a power of the width; beyond 0.3 it "
        "fails.",
        "",
        "| optimizer | geometry | rate at base | verdict | largest slope |",
        "|---|---|---|---|---|",
        *(
            f"| {r['optimizer']} | {r['geometry']} | {r['lr']:.3g} | {r['verdict']} | "
            f"{r['max_abs_slope']:.2f} |"
            for r in rows
        ),
        "",
        f"{sum(r['verdict'] == 'pass' for r in rows)} of {len(rows)} pass.",
        *(f"{r['optimizer']}: {r['reason']}." for r in rows if r["verdict"] != "pass"),
        "",
        f"Measured on: {machine()}.",
        "",
        "Made by `python benchmarks/optimizers/checks.py --write`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Check all, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--optimizers", nargs="+", default=list(optimizer_names()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.optimizers:
        rows.append(row(name))
        print(rows[-1], flush=True)
    known = read(FOUND)["rows"] if FOUND.exists() else []
    rows += [old for old in known if old["optimizer"] not in options.optimizers]
    rows.sort(key=lambda one: str(one["optimizer"]))
    print(page(rows))
    if options.write:
        write("optimizer_checks", {"rows": rows}, page(rows))


if __name__ == "__main__":
    main()
