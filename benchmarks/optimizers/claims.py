"""Each optimizer's own claim beside what the comparison found at this size.

Reads benchmarks/results/optimizer_comparison.json, at the largest width; trains nothing.

    python benchmarks/optimizers/claims.py --write
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from committed import RESULTS, read, write

COMPARISON = RESULTS / "optimizer_comparison.json"


@dataclass(frozen=True)
class Claim:
    """What a paper says of its method against AdamW, as numbers that a comparison can hold.

    Attributes:
        says: In words.
        least_speed_up: The speed-up in units of training that it names.
        most_worse: By how much its loss may lie above AdamW's, in percent, where it claims no more
            than AdamW's loss; None where it claims a speed-up.
        most_state: Share of AdamW's state that it names; None for none.
    """

    says: str
    least_speed_up: float = 1.0
    most_worse: float | None = None
    most_state: float | None = None


CLAIMS = {
    "adafactor": Claim(
        "comparable results to Adam's with very little auxiliary storage (1804.04235)",
        most_worse=0.5,
        most_state=0.1,
    ),
    "adam-atan2": Claim(
        "Adam's results without an epsilon, whatever the gradients' size (2407.05872)",
        most_worse=0.5,
    ),
    "adamuon": Claim(
        "surpasses Adam by more than 40 % training efficiency (2507.11005)", least_speed_up=1.4
    ),
    "auon": Claim(
        "performance comparable to or better than AdamW's at linear cost (2509.24320)",
        most_worse=0.5,
    ),
    "hybrid-auon": Claim("the same, with one Newton-Schulz iteration (2509.24320)", most_worse=0.5),
    "dion": Claim("orthonormal updates speed training up over AdamW (2504.05295)"),
    "fira": Claim(
        "full-rank training's loss (AdamW's) on a low rank's memory (2410.01623)",
        most_worse=0.5,
        most_state=0.5,
    ),
    "frugal": Claim(
        "near full AdamW's loss with a quarter of its state in the matrices (2411.07837)",
        most_worse=0.5,
        most_state=0.5,
    ),
    "lion": Claim(
        "similar or better performance than Adam's in language modelling, at half the state "
        "(2302.06675)",
        most_worse=0.5,
        most_state=0.51,
    ),
    "muon": Claim(
        "about 1.35 times AdamW's speed on NanoGPT (Jordan et al. 2024)", least_speed_up=1.35
    ),
    "soap": Claim(
        "over 40 % fewer iterations than AdamW (2409.11321)", least_speed_up=1 / (1 - 0.4)
    ),
    "sophia-g": Claim("2 times Adam's speed in steps and time (2305.14342)", least_speed_up=2.0),
    "sophia-h": Claim("2 times Adam's speed in steps and time (2305.14342)", least_speed_up=2.0),
}


def judged(claim: Claim, found: dict[str, Any]) -> tuple[str, str]:
    """What was found, and whether it shows the claim."""
    difference = found["difference"]
    # Of log losses; the comparison's JSON has mean and 90 % range.
    mean, (low, high) = difference["mean"], difference["ci90"]
    loss = (
        f"loss {100 * math.expm1(mean):+.1f} % ({100 * math.expm1(low):+.1f} to "
        f"{100 * math.expm1(high):+.1f})"
    )
    speed = next(one for one in found["speed_up"] if one["measure"] == "units")
    said, shown = [loss], True
    if claim.most_worse is not None:
        shown &= 100 * math.expm1(high) <= claim.most_worse
    if "value" in speed:
        ends = speed["ci90"]
        said.append(f"speed-up in tokens {speed['value']:.2f} ({ends[0]:.2f} to {ends[1]:.2f})")
        if claim.most_worse is None:
            shown &= (
                ends[0] >= claim.least_speed_up
                if claim.least_speed_up == 1
                else (speed["value"] >= claim.least_speed_up)
            )
    elif claim.most_worse is None:
        shown = False
    state = found["state_bytes_ratio"]
    if state is not None:
        said.append(f"state {state:.2f} of AdamW's")
        if claim.most_state is not None:
            shown &= state <= claim.most_state
    return "; ".join(said), "shown" if shown else "not shown at this size"


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    comparison = read(COMPARISON)
    last = comparison["cells"][-1]
    by_name = {one["method"]: one for one in last["methods"]}
    rows = []
    for name, claim in CLAIMS.items():
        found, verdict = judged(claim, by_name[name])
        rows.append({"method": name, "claim": claim.says, "found": found, "verdict": verdict})
    scale = ", ".join(f"{axis} {value:g}" for axis, value in last["scale"].items())
    lines = [
        "# What each optimizer's paper claims, and what is shown at this size",
        "",
        f"At {scale}, of [the comparison](optimizer_comparison.md): five seeds, 131,072 tokens of "
        "this Python's library source, every method tuned with 33 trials; AdamW is the baseline. A "
        "claim of as good a loss is shown where the 90 % range lies below +0.5 %, one of speed "
        "where the estimate reaches the number (for 'faster', where the range lies above 1).",
        "",
        "| method | claim | found | verdict |",
        "|---|---|---|---|",
        *(f"| {r['method']} | {r['claim']} | {r['found']} | {r['verdict']} |" for r in rows),
        "",
        "Lion-kappa's claim, weights within 1 / decay in the dual norm, is a property test "
        "(`tests/optimizers/test_lion_kappa.py`); Lion's, Sophia's and others' advice on batch "
        "size (Lion's gain grows with it) was not tried. A model of half a million parameters "
        "trained on 512 tokens a step is far from where these were published.",
        "",
        "Made by `python benchmarks/optimizers/claims.py --write`.",
        "",
    ]
    page = "\n".join(lines)
    print(page)
    if options.write:
        write("optimizer_claims", {"rows": rows}, page)


if __name__ == "__main__":
    main()
