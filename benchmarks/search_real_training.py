"""Tuning small with ladder against tuning the target with Optuna, in real training.

Optuna's TPE, and TPE with its Hyperband pruner. A GPT on the standard library's text under muP.
Ladder looks at widths and lengths below the target and never trains it; TPE trains the target
itself, as usual. What each found is then trained at the target on seeds that nobody tuned with. A
search of each kind shares its seed with the others, so differences are paired.

    python benchmarks/search_real_training.py --write    (needs optuna; half an hour)
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import committed
import numpy as np
from scipy import stats

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policies.ladder import LadderPolicy
from windtunnel.search.policy import Budget, Stop
from windtunnel.search.space import Float, Space
from windtunnel.search.trial import Trial

SPACE = Space({"lr": Float(2**-11, 2**-3, log=True), "weight_decay": Float(2**-9, 1.0, log=True)})
TARGET = {"width": 64.0, "tokens": 409_600.0}
PROXIES = [
    {"width": w, "tokens": t} for w in (16.0, 32.0) for t in (51_200.0, 102_400.0, 204_800.0)
]
BATCH = 1024  # tokens a step
TRIALS = 25  # of TPE, its ten random ones among them
TEST_SEEDS = 3
SHARE = 0.1  # of TPE's FLOPs that ladder may spend


@cache
def _setting() -> Any:
    import torch

    from windtunnel.data.batches import TokenBatches
    from windtunnel.data.cache import default_cache
    from windtunnel.data.corpus import open_corpus
    from windtunnel.models import build_family
    from windtunnel.spec import DataSpec

    torch.set_num_threads(1)
    corpus = open_corpus(DataSpec(source="stdlib", sequence_length=64), default_cache())
    family = build_family("gpt", {"head_size": 8}, vocabulary_size=256, sequence_length=64)
    return family, TokenBatches(corpus, 64), corpus.content_hash


def flops(scale: dict[str, float]) -> float:
    """Training FLOPs of one run, 6 for each parameter and token."""
    family, _, _ = _setting()
    return float(6 * family.parameter_count(_scale(scale)).non_embedding * scale["tokens"])


def _scale(scale: dict[str, float]) -> Scale:
    return Scale(width=int(scale["width"]), depth=2, units=int(scale["tokens"]))


def train_loss(
    scale: dict[str, float],
    values: dict[str, float],
    seed: int,
    prune: Callable[[float, float], bool] = lambda share, loss: False,
) -> tuple[float, float]:
    """Validation loss and the share of the run that was trained; infinite where it diverged.

    Args:
        scale: Of the model.
        values: The recipe.
        seed: Of init and data.
        prune: Asked with the share done and the mean training loss of late; ends the run.
    """
    from windtunnel.training.loop import train

    family, batches, content = _setting()
    run = Run(
        family="gpt",
        family_options=tuple(sorted(family.options().items())),
        optimizer="adamw",
        rule="mup",
        base=Scale(width=32, depth=2, units=102_400),
        scale=_scale(scale),
        recipe=Recipe(
            lr=float(values["lr"]), batch_units=BATCH, weight_decay=float(values["weight_decay"])
        ),
        data=DataIdentity(content, 64, 768),
        init_seed=seed,
        data_seed=seed,
    )
    recent: list[float] = []
    state = {"share": 0.0, "pruned": False}

    def progress(step: int, steps: int, loss: float) -> None:
        recent.append(loss)
        state["share"] = step / steps
        state["pruned"] = prune(step / steps, statistics.fmean(recent[-20:]))

    with tempfile.TemporaryDirectory() as folder:
        result = train(
            run,
            family=family,
            batches=batches,
            folder=Path(folder),
            should_stop=lambda: bool(state["pruned"]),
            on_progress=progress,
        )
    if result is None:
        return statistics.fmean(recent[-20:]), float(state["share"])
    return (math.inf if result.loss is None else result.loss), 1.0


def ladder(seed: int, budget: float) -> dict[str, Any]:
    """Ladder's recipe for the target, and what it spent."""
    policy = LadderPolicy(SPACE, scales=PROXIES, target=TARGET, cost=flops, accepted=5e-4)
    ledger: MemoryLedger[Trial] = MemoryLedger()
    spent = 0.0
    while True:
        answer = policy.next(ledger.rows, Budget(flops=budget, flops_used=spent), seed)
        if isinstance(answer, Stop):
            found = policy.outcome(ledger.rows)
            return {
                "values": dict(found.values),
                "flops": spent,
                "runs": len(ledger.rows),
                "expected_regret": found.regret,
                "reason": answer.reason,
            }
        for decision in answer:
            values = {k: float(v) for k, v in decision.run.values.items()}
            scale = {axis: values[axis] for axis in TARGET}
            loss, _ = train_loss(scale, values, seed)
            ledger.create(len(ledger.rows), decision.run, decision.purpose)
            ledger.finish(len(ledger.rows) - 1, loss if math.isfinite(loss) else None)
            spent += flops(scale)


def tpe(seed: int, pruned: bool) -> dict[str, Any]:
    """Optuna's TPE at the target, with the Hyperband pruner or none."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.HyperbandPruner(1, 27, 3) if pruned else optuna.pruners.NopPruner()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    trajectory, spent, full = [], 0.0, flops(TARGET)
    while spent < TRIALS * full:
        trial = study.ask()
        values = {
            name: trial.suggest_float(name, p.low, p.high, log=True)
            for name, p in SPACE.parameters.items()
            if isinstance(p, Float)
        }
        told = {0}

        def prune(share: float, loss: float, trial: Any = trial, told: set[int] = told) -> bool:
            rung = int(27 * share)
            if not pruned or rung in told or rung == 27:
                return False
            told.add(rung)
            trial.report(loss, rung)
            return bool(trial.should_prune())

        loss, share = train_loss(TARGET, values, seed, prune)
        spent += share * full
        if share < 1:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, loss if math.isfinite(loss) else 1e3)
            trajectory.append((spent, loss, values))
    best = min(trajectory, key=lambda point: point[1])
    near = next(spent for spent, loss, _ in trajectory if loss <= 1.005 * best[1])
    return {
        "values": best[2],
        "flops": spent,
        "runs": len(study.trials),
        "tuning_loss": best[1],
        "flops_until_within_half_a_percent": near,
    }


def one_seed(seed: int) -> dict[str, Any]:
    """Every search with one seed, and what its recipe reaches on test seeds."""
    budget = SHARE * TRIALS * flops(TARGET)
    found = {
        "ladder": ladder(seed, budget),
        "TPE": tpe(seed, False),
        "TPE + Hyperband": tpe(seed, True),
    }
    for name, result in found.items():
        result["test_losses"] = [
            train_loss(TARGET, result["values"], 10_000 + 100 * seed + n)[0]
            for n in range(TEST_SEEDS)
        ]
        print(seed, name, result, flush=True)
    return {"seed": seed, **found}


def page(rows: list[dict[str, Any]], where: dict[str, Any]) -> str:
    """The committed page."""
    full = flops(TARGET)
    lines = [
        "# Tuning small against tuning at the target",
        "",
        "GPT of depth 2 on the standard library's text under muP; target width "
        f"{TARGET['width']:g} on {TARGET['tokens']:,.0f} tokens, proxies of widths 16 and 32 on an "
        f"eighth to a half of them. Learning rate and weight decay are searched. {TRIALS} target "
        "runs' FLOPs for TPE, a tenth of that at most for ladder. Test losses: mean of "
        f"{TEST_SEEDS} seeds nobody tuned with. FLOPs in target runs.",
        "",
        "| seed | search | learning rate | weight decay | runs | FLOPs | until within .5 % of its "
        "best | test loss | against TPE |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        reference = statistics.fmean(row["TPE"]["test_losses"])
        for name in ("ladder", "TPE", "TPE + Hyperband"):
            own = row[name]
            mean = statistics.fmean(own["test_losses"])
            near = own.get("flops_until_within_half_a_percent")
            until = "" if near is None else f"{near / full:.1f}"
            lines.append(
                f"| {row['seed']} | {name} | {own['values']['lr']:.4f} "
                f"| {own['values']['weight_decay']:.3f} | {own['runs']} "
                f"| {own['flops'] / full:.2f} | {until} | {mean:.4f} "
                f"| {100 * (mean / reference - 1):+.2f} % |"
            )
    lines.append("")
    for name in ("TPE", "TPE + Hyperband"):
        ratios = [
            100
            * (
                statistics.fmean(row["ladder"]["test_losses"])
                / statistics.fmean(row[name]["test_losses"])
                - 1
            )
            for row in rows
        ]
        half = float(stats.t.ppf(0.95, len(ratios) - 1)) * statistics.stdev(ratios)
        half /= math.sqrt(len(ratios))
        share = [row["ladder"]["flops"] / row[name]["flops"] for row in rows]
        near = [
            row["ladder"]["flops"] / row[name]["flops_until_within_half_a_percent"] for row in rows
        ]
        mean = statistics.fmean(ratios)
        lines.append(
            f"- Ladder against {name}, paired over {len(rows)} seeds: {mean:+.2f} % of the loss "
            f"(90 % range {mean - half:+.2f} to {mean + half:+.2f}), for "
            f"{100 * np.mean(share):.0f} % of its FLOPs, and {100 * np.median(near):.0f} % "
            "(median) of those that it took until it was within .5 % of its own best."
        )
    return "\n".join([*lines, *committed.footer("search_real_training", where)])


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        rows = list(pool.imap_unordered(one_seed, range(1, options.seeds + 1), chunksize=1))
    rows.sort(key=lambda row: row["seed"])
    where = committed.environment()
    text = page(rows, where)
    print(text)
    if options.write:
        committed.write("search_real_training", {"seeds": rows, **where}, text)


if __name__ == "__main__":
    main()
