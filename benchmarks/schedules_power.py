"""Power's claim: one setting serves every number of tokens and every batch size.

Its amplitude is tuned in one cell (the shortest length, the smallest batch) and used in all others.
It is held against warmup-stable-decay tuned in each cell for itself, and against
warmup-stable-decay with the rate of that first cell. Tuned on two seeds, compared on six others,
paired by seed.

    python benchmarks/schedules_power.py --write    # about 13 minutes of one core
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from committed import environment, footer, write
from schedules_training import (
    KEPT,
    LENGTH,
    MODEL,
    Kept,
    Training,
    best_of,
    difference,
    mean_loss,
    words,
)

from windtunnel.schedules import schedule_multiplier

TOKENS = (307_200, 1_228_800)
BATCHES = (512, 2048)
CELLS = tuple((tokens, batch) for tokens in TOKENS for batch in BATCHES)
HOME = CELLS[0]
WARMUP, DECAY = 0.1, 0.2  # shares of the steps
CEILING = 0.128  # where rates above it diverge
RATES = tuple(2.0**-k for k in (9, 8, 7, 6, 5, 4))
AMPLITUDES = (0.125, 0.25, 0.5, 1.0, 2.0)
TUNING, SEEDS = (100, 101), tuple(range(6))
MARGIN = 1.0  # percent of the loss above each cell's own best


def trained(cell: tuple[int, int], seed: int, lr: float, amplitude: float | None) -> float:
    """Loss of one run: Power's with an amplitude, warmup-stable-decay's without."""
    tokens, batch = cell
    steps, training = tokens // batch, Training(lr, batch, seed)
    name, settings = "wsd", {}
    if amplitude is not None:
        name = "power"
        settings = {
            "lr": lr,
            "batch_units": batch,
            "amplitude": amplitude,
            "sequence_units": LENGTH,
        }
    training.go(
        steps,
        lambda step: schedule_multiplier(
            name, step, steps, warmup_fraction=WARMUP, decay_fraction=DECAY, settings=settings
        ),
    )
    return training.loss()


def measure(kept: Kept) -> dict[str, Any]:
    """Tune Power at home and warmup-stable-decay everywhere, and compare them."""

    def wsd(cell: tuple[int, int], lr: float, seed: int) -> float:
        return float(
            kept.get(f"wsd {cell} lr {lr} seed {seed}", lambda: trained(cell, seed, lr, None))
        )

    def power(cell: tuple[int, int], a: float, seed: int) -> float:
        name = f"power {cell} amplitude {a} seed {seed}"
        return float(kept.get(name, lambda: trained(cell, seed, CEILING, a)))

    amplitude, sweep = best_of(
        lambda a: mean_loss([power(HOME, a, seed) for seed in TUNING]), AMPLITUDES
    )
    tuned = {
        cell: best_of(
            lambda lr, cell=cell: mean_loss([wsd(cell, lr, seed) for seed in TUNING]), RATES
        )
        for cell in CELLS
    }
    rows = []
    for cell in CELLS:
        ours = [power(cell, amplitude, seed) for seed in SEEDS]
        best = [wsd(cell, tuned[cell][0], seed) for seed in SEEDS]
        same = [wsd(cell, tuned[HOME][0], seed) for seed in SEEDS]
        over = difference(ours, best)
        rows.append(
            {
                "tokens": cell[0],
                "batch": cell[1],
                "power": ours,
                "wsd": best,
                "wsd_lr": tuned[cell][0],
                "wsd_at_home_s_lr": same,
                "over_tuned": over,
                "home_s_over_tuned": difference(same, best),
                "over_home_s": difference(ours, same),
                "holds": over[2] < MARGIN,
            }
        )
    return {
        "amplitude": amplitude,
        "sweep": sweep,
        "wsd_sweeps": {f"{t} {b}": losses for (t, b), (_, losses) in tuned.items()},
        "rows": rows,
    }


def page(found: dict[str, Any], where: dict[str, Any]) -> str:
    """The committed page."""
    away = [row for row in found["rows"] if (row["tokens"], row["batch"]) != HOME]
    lines = [
        "# Power: does one setting serve every length and batch size?",
        "",
        f"{MODEL}; AdamW, warm-up {WARMUP:.0%} and decay {DECAY:.0%} of the steps in a line to 0.",
        "",
        f"Power (exponent -0.51) with amplitude {found['amplitude']:g}, the batch counted in "
        f"sequences of {LENGTH}, tuned at {HOME[0]:,} tokens and {HOME[1]:,} tokens a step, "
        "against warmup-stable-decay (wsd) tuned in each cell, and wsd at the rate of that first "
        f"cell. Tuned on {len(TUNING)} seeds, compared on {len(SEEDS)} others, paired; differences "
        "are in percent of the loss with 90 % t ranges.",
        "",
        "| tokens | tokens a step | wsd tuned here (rate) | Power over it | wsd at the first "
        "cell's rate over it | Power over that |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        home = (row["tokens"], row["batch"]) == HOME
        power = torch.log2(torch.tensor(row["wsd_lr"])).item()
        lines.append(
            f"| {row['tokens']:,} | {row['batch']:,} | {mean_loss(row['wsd']):.4f} (2^{power:g}) "
            f"| {words(row['over_tuned'])} "
            f"| {'itself' if home else words(row['home_s_over_tuned'])} "
            f"| {words(row['over_home_s'])} |"
        )
    holds = sum(row["holds"] for row in away)
    worse = sum(row["over_tuned"][1] > MARGIN for row in away)
    beats = sum(row["over_home_s"][2] < 0 for row in away)
    loses = sum(row["over_home_s"][1] > 0 for row in away)
    verdict = "Shown" if holds == len(away) else "Not shown"
    lines += [
        "",
        f"{verdict} at this size: away from where it was tuned, Power is within {MARGIN:g} % of "
        f"the cell's own best with 95 % confidence in {holds} of {len(away)} cells (worse by more "
        f"in {worse}). It is better than wsd at the first cell's rate in {beats}, worse in "
        f"{loses}, and no difference shows in {len(away) - beats - loses}.",
        *footer("schedules_power", where),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found, where = measure(Kept(options.kept)), environment()
    text = page(found, where)
    print(text)
    if options.write:
        write("schedules_power", {**where, **found}, text)


if __name__ == "__main__":
    main()
