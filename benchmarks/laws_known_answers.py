"""Do the 90 % ranges of exponents hold the truth, on data whose exponents are known?

Four sources: a Chinchilla law with noise, the same with outliers too, associative memories (error
against width and samples) and random-feature regression (error against samples, by theory's
fixed-point equations). Each repetition draws new exponents and new noise and fits them as a user
would, the form named and everything else at its default.

The table is printed; --write also puts it into benchmarks/results/laws_known_answers.{json,md}.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import committed
import numpy as np
from scipy import stats

from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.oracles import associative_memory, random_features
from windtunnel.laws.solver import Array
from windtunnel.laws.table import Metric, RunTable

TARGET = 85.0, 97.0  # per cent


@dataclass(frozen=True)
class KnownAnswer:
    """One data set with the exponents that made it.

    Attributes:
        form: The form to fit.
        columns: (n,) each, with `loss`.
        exponents: Name in the form's `published` to the truth.
    """

    form: str
    columns: dict[str, Array]
    exponents: dict[str, float]


def chinchilla(generator: np.random.Generator, outliers: float = 0.0) -> KnownAnswer:
    """Six sizes times six lengths, noise of .5 %; outliers lie 2 to 10 % too high."""
    alpha, beta = generator.uniform(0.25, 0.45, 2)
    params, tokens = (
        part.ravel() for part in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 5e10, 6))
    )
    # Shares of the loss in the middle of the data, so that exponents do not set what is seen.
    size, data = generator.uniform(0.3, 0.8, 2)
    loss = 1.8 + size * (params / 1e8) ** -alpha + data * (tokens / 3e9) ** -beta
    noisy = loss * np.exp(0.005 * generator.standard_normal(loss.size))
    far = generator.uniform(size=loss.size) < outliers
    noisy[far] *= 1 + generator.uniform(0.02, 0.10, int(far.sum()))
    columns = {"params": params, "tokens": tokens, "loss": noisy}
    return KnownAnswer("chinchilla", columns, {"alpha": float(alpha), "beta": float(beta)})


def chinchilla_with_outliers(generator: np.random.Generator) -> KnownAnswer:
    """One row in fifteen is an outlier."""
    return chinchilla(generator, outliers=1 / 15)


def memories(generator: np.random.Generator) -> KnownAnswer:
    """Width and samples of an associative memory; noise of 1 %."""
    tail = float(generator.uniform(1.3, 1.9))
    width, samples = (
        part.ravel() for part in np.meshgrid(np.geomspace(32, 2048, 6), np.geomspace(1e3, 1e6, 6))
    )
    loss = associative_memory.error(tail, width, samples)
    loss *= np.exp(0.01 * generator.standard_normal(loss.size))
    exponents = {
        "alpha": associative_memory.capacity_exponent(tail),
        "beta": associative_memory.data_exponent(tail),
    }
    return KnownAnswer("chinchilla", {"params": width, "tokens": samples, "loss": loss}, exponents)


def features(generator: np.random.Generator) -> KnownAnswer:
    """Samples of noiseless kernel regression; noise of 1 % between repetitions."""
    target_decay = float(generator.uniform(1.4, 2.5))
    task = random_features.power_law_task(1.5, target_decay)
    samples = np.geomspace(300, 30_000, 16)
    loss = np.array([random_features.mean_error(task, n, np.inf, 1e-12)[0] for n in samples])
    loss *= np.exp(0.01 * generator.standard_normal(loss.size))
    exponents = {"alpha": random_features.data_exponent(1.5, target_decay)}
    return KnownAnswer("power-tokens", {"tokens": samples, "loss": loss}, exponents)


SOURCES: dict[str, Callable[[np.random.Generator], KnownAnswer]] = {
    "Chinchilla, noise .5 %": chinchilla,
    "Chinchilla, noise and outliers": chinchilla_with_outliers,
    "associative memory": memories,
    "random features": features,
}


def table_of(columns: dict[str, Array]) -> RunTable:
    """Columns as a table of runs."""
    lines = np.arange(1, columns["loss"].size + 1, dtype=np.int64)
    return RunTable("known answers", lines, columns, {}, Metric("loss", "loss", "nats"))


def covered(name: str, repetition: int, draws: int) -> list[dict[str, Any]]:
    """For each exponent of one repetition: truth, estimate and range."""
    known = SOURCES[name](np.random.default_rng([repetition, len(name)]))
    law = fit_law(table_of(known.columns), form=known.form, seed=repetition, draws=draws)
    rows = []
    for exponent, truth in known.exponents.items():
        low, high = law.summary["ci90"][exponent]
        rows.append(
            {
                "exponent": exponent,
                "truth": truth,
                "found": law.summary["params"][exponent],
                "ci90": [low, high],
                "prior": law.summary["prior"],
                "inside": bool(low <= truth <= high),
            }
        )
    return rows


def all_covered(repetitions: int, draws: int, processes: int) -> dict[str, list[dict[str, Any]]]:
    """Every repetition of every source."""
    tasks = [(name, number, draws) for name in SOURCES for number in range(repetitions)]
    with multiprocessing.Pool(processes) as pool:
        found = pool.starmap(covered, tasks, chunksize=10)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SOURCES}
    for (name, *_), own in zip(tasks, found, strict=True):
        rows[name] += own
    return rows


def report(found: dict[str, Any]) -> str:
    """The table in Markdown."""
    lines = [
        f"{found['made_at']}; {found['machine']}; {found['repetitions']} repetitions, "
        f"{found['draws']} refits behind each range, {found['seconds']:.0f} s.",
        "",
        "| data | exponent | true value inside its 90 % range (95 % interval) | "
        "median half-width | median error |",
        "|---|---|---|---|---|",
    ]
    everything: list[bool] = []
    for name, rows in found["sources"].items():
        for exponent in dict.fromkeys(row["exponent"] for row in rows):
            own = [row for row in rows if row["exponent"] == exponent]
            inside = [row["inside"] for row in own]
            everything += inside
            half = np.median([(row["ci90"][1] - row["ci90"][0]) / 2 for row in own])
            error = np.median([abs(row["found"] - row["truth"]) for row in own])
            lines.append(f"| {name} | {exponent} | {_share(inside)} | {half:.4f} | {error:.4f} |")
    lines += [
        "",
        f"All together: {_share(everything)}; the target is {TARGET[0]:.0f} to {TARGET[1]:.0f} %. "
        "The two exponents of one data set are not independent of each other.",
    ]
    return "\n".join(lines)


def _share(inside: list[bool]) -> str:
    interval = stats.binomtest(sum(inside), len(inside)).proportion_ci(0.95)
    return f"{100 * np.mean(inside):.1f} % ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def main() -> None:
    """Fit every repetition and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    found: dict[str, Any] = {
        "made_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, NumPy {np.__version__}",
        "repetitions": options.repetitions,
        "draws": options.draws,
        "sources": all_covered(options.repetitions, options.draws, options.processes),
    }
    found["seconds"] = time.perf_counter() - began
    text = report(found)
    print(text)
    if options.write:
        title = "# Exponents' ranges on data with a known answer"
        committed.write("laws_known_answers", found, f"{title}\n\n{text}\n", indent=1)


if __name__ == "__main__":
    main()
