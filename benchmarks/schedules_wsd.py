"""Warmup-stable-decay's claim: one stable run serves many budgets.

For each budget a decay branches off one run at a constant rate, and is held against a cosine of
its own whose rate was tuned for that budget. The stable run has one rate for all budgets. Rates are
tuned on two seeds, and the methods compared on eight others, paired by seed. It also checks that a
branch is a run of its own bit for bit, and shows what a longer cosine's checkpoint is worth there.

    python benchmarks/schedules_wsd.py --write    # about 8 minutes of one core
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from committed import environment, footer, write
from schedules_training import (
    KEPT,
    MODEL,
    Kept,
    Training,
    best_of,
    difference,
    mean_loss,
    seeds_that_would_tell,
    words,
)

from windtunnel.schedules import schedule_multiplier

BUDGETS = (300, 600, 1200)  # steps
BATCH = 1024  # tokens a step
WARMUP = 30  # steps, the same for all
DECAY = 0.2  # share of a budget's steps
RATES = tuple(2.0**-k for k in (8, 7, 6, 5, 4))
TUNING, SEEDS = (100, 101), tuple(range(8))
MARGIN = 0.5  # percent of the loss: worse by less than this counts as serving the budget


def schedule(name: str, budget: int) -> Callable[[int], float]:
    """Multipliers of one budget; the warm-up is the same for every budget."""
    return lambda step: schedule_multiplier(
        name, step, budget, warmup_fraction=WARMUP / budget, decay_fraction=DECAY
    )


def branches(lr: float, seed: int) -> list[float]:
    """Losses at every budget of decays off one stable run."""
    stable, losses = Training(lr, BATCH, seed), []
    for budget in BUDGETS:
        multiplier = schedule("wsd", budget)
        stable.go(budget - round(DECAY * budget), multiplier)
        decay = stable.branch()
        decay.go(budget, multiplier)
        losses.append(decay.loss())
    return losses


def own_run(name: str, lr: float, seed: int, budget: int) -> list[float]:
    """Losses of a run of its own, at its end and, before it, at the budgets that it passes."""
    training, losses = Training(lr, BATCH, seed), []
    for stop in (b for b in BUDGETS if b <= budget):
        training.go(stop, schedule(name, budget))
        losses.append(training.loss())
    return losses


def measure(kept: Kept) -> dict[str, Any]:
    """Tune, compare, and check that a branch is a run of its own."""

    def stable(lr: float, seed: int) -> list[float]:
        return kept.get(f"wsd branches lr {lr} seed {seed}", lambda: branches(lr, seed))

    def cosine(budget: int, lr: float, seed: int) -> list[float]:
        name = f"cosine {budget} lr {lr} seed {seed}"
        return kept.get(name, lambda: own_run("cosine", lr, seed, budget))

    one_rate, sweep = best_of(
        lambda lr: mean_loss([loss for seed in TUNING for loss in stable(lr, seed)]), RATES
    )
    tuned = {
        budget: best_of(
            lambda lr, budget=budget: mean_loss([cosine(budget, lr, s)[-1] for s in TUNING]), RATES
        )
        for budget in BUDGETS
    }
    longest = tuned[BUDGETS[-1]][0]
    rows = []
    for place, budget in enumerate(BUDGETS):
        ours = [stable(one_rate, seed)[place] for seed in SEEDS]
        theirs = [cosine(budget, tuned[budget][0], seed)[-1] for seed in SEEDS]
        cut = [cosine(BUDGETS[-1], longest, seed)[place] for seed in SEEDS]
        found = difference(ours, theirs)
        rows.append(
            {
                "budget": budget,
                "branch": ours,
                "cosine": theirs,
                "cosine_lr": tuned[budget][0],
                "difference": found,
                "cut_cosine": cut,
                "cut_difference": difference(cut, theirs),
                "holds": found[2] < MARGIN,
            }
        )
    again = kept.get(
        f"wsd own runs lr {one_rate} seed 0",
        lambda: [own_run("wsd", one_rate, 0, budget)[-1] for budget in BUDGETS],
    )
    return {
        "rate": one_rate,
        "sweep": sweep,
        "cosine_sweeps": {budget: losses for budget, (_, losses) in tuned.items()},
        "rows": rows,
        "a_branch_is_its_own_run": again == stable(one_rate, 0),
    }


def page(found: dict[str, Any], where: dict[str, Any]) -> str:
    """The committed page."""
    total = sum(BUDGETS)
    shared = BUDGETS[-1] + sum(round(DECAY * budget) for budget in BUDGETS[:-1])
    holds = all(row["holds"] for row in found["rows"])
    lines = [
        "# Warmup-stable-decay: does one stable run serve many budgets?",
        "",
        f"{MODEL}; {BATCH:,} tokens a step, AdamW, warm-up of {WARMUP} steps, decay over "
        f"{DECAY:.0%} of the budget in a line to 0.",
        "",
        f"One stable run at one rate (2^{_power(found['rate'])}, tuned over all budgets together) "
        f"with a decay for each budget, {shared:,} steps in all, against cosine runs of their own, "
        f"each at the rate tuned for it, {total:,} steps. Tuned on {len(TUNING)} seeds, compared "
        f"on {len(SEEDS)} others, paired; differences are in percent of the loss with 90 % t "
        "ranges.",
        "",
        "| budget (steps) | stable run, decay | cosine of its own (rate) | difference "
        "| a longer cosine, cut here |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        ours, theirs = mean_loss(row["branch"]), mean_loss(row["cosine"])
        is_longest = row["budget"] == BUDGETS[-1]
        cut = "itself" if is_longest else words(row["cut_difference"])
        lines.append(
            f"| {row['budget']:,} | {ours:.4f} | {theirs:.4f} (2^{_power(row['cosine_lr'])}) "
            f"| {words(row['difference'])} | {cut} |"
        )
    verdict = (
        f"Shown at this size: at no budget is it worse than the cosine by {MARGIN} % or more, with "
        "95 % confidence each."
        if holds
        else " ".join(
            ["Not shown at this size at every budget:", *(_open(r) for r in found["rows"])]
        )
    )
    same = "yes" if found["a_branch_is_its_own_run"] else "no"
    lines += [
        "",
        verdict,
        "",
        "A decay from the shared checkpoint gives the losses of whole runs of their own, bit for "
        f"bit: {same}.",
        *footer("schedules_wsd", where),
    ]
    return "\n".join(lines)


def _open(row: dict[str, Any]) -> str:
    """What is known at a budget."""
    _, low, high = row["difference"]
    if row["holds"]:
        known = "better" if high < 0 else f"not worse by {MARGIN} %"
        return f"at {row['budget']:,} steps it is {known};"
    if low > 0:
        return f"at {row['budget']:,} steps it is worse;"
    seeds = seeds_that_would_tell(row["branch"], row["cosine"], MARGIN)
    more = "more seeds than are worth it" if seeds is None else f"about {seeds} seeds"
    return (
        f"at {row['budget']:,} steps no difference shows, but worse by {MARGIN} % is not ruled out "
        f"({more} would tell)."
    )


def _power(rate: float) -> str:
    return f"{torch.log2(torch.tensor(rate)).item():g}"


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
        write("schedules_wsd", {**where, **found}, text)


if __name__ == "__main__":
    main()
