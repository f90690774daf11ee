"""The quickstart over several seeds: forecast against target, and how far the optimum drifts.

Each seed is a whole `windtunnel quickstart --seed S` in a folder of its own. The forecast of every
study is written down before its target is trained; nothing is left out or run again. --write puts
the table into benchmarks/results/quickstart_seeds.{json,md}. Where there are more cores,
`--at-once 5` gives each of five studies two of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import queue
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from committed import write
from scipy import stats

from windtunnel.training.environment import cpu_model

CORES = 2  # of a study that runs beside others
COMMAND = [sys.executable, "-c", "from windtunnel.cli import main; main()"]


def run_quickstart(
    folder: Path, seed: int, minutes: float | None, cores: set[int]
) -> dict[str, Any]:
    """One quickstart on some of the cores; its summary and the command's exit code."""
    options = [] if minutes is None else ["--minutes", str(minutes)]
    done = subprocess.run(
        [*COMMAND, "quickstart", "--folder", str(folder), "--seed", str(seed), *options],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    seconds = summary["cost"]["wall_seconds"]
    return {"seed": seed, "exit_code": done.returncode, "seconds": seconds, **summary}


def slope_with_interval(slope: float | None, ci90: list[float] | None) -> str:
    """A slope as people read it."""
    if slope is None or ci90 is None:
        return "none"
    return f"{slope:+.2f} ({ci90[0]:+.2f} to {ci90[1]:+.2f})"


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table, a row a seed."""
    lines = [
        "| seed | minutes | forecast (90 % range) | verdict | target | error | inside | half-width "
        "| mup slope (90 %) | sp slope (90 %) | loss paid | transfer | check mup / sp |",
        "|" + "---|" * 13,
    ]
    for row in rows:
        forecast, target, transfer = row["forecast"], row["target"], row["transfer"]
        low, high = forecast["ci90"]
        paid = transfer["loss_paid_percent"]
        check = row["coordinate_check"]
        lines.append(
            f"| {row['seed']} | {row['seconds'] / 60:.1f} | {forecast['loss']:.3f} ({low:.3f} to "
            f"{high:.3f}) | {forecast['verdict']} | {target['loss']:.3f} | "
            f"{target['error_percent']:+.1f} % | {'yes' if target['inside'] else 'no'} | "
            f"{50 * (high - low) / forecast['loss']:.1f} % | "
            f"{slope_with_interval(transfer['slope'], transfer['slope_ci90'])} | "
            f"{slope_with_interval(transfer['sp_slope'], transfer['sp_slope_ci90'])} | "
            f"{'none' if paid is None else f'{paid:.2f} %'} | {transfer['verdict']} | "
            f"{check['verdict']} / {check['sp_verdict']} |"
        )
    return "\n".join(lines)


def mean_with_interval(values: list[float]) -> str:
    """The mean over seeds and its 90 % range, from Student's t."""
    mean = statistics.mean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = float(stats.t.ppf(0.95, len(values) - 1)) * error
    return f"{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})"


def digest(rows: list[dict[str, Any]]) -> str:
    """The targets of issue 2 beside what was measured."""
    errors = [abs(row["target"]["error_percent"]) for row in rows]
    inside = sum(row["target"]["inside"] for row in rows)
    halves = [
        50 * (row["forecast"]["ci90"][1] - row["forecast"]["ci90"][0]) / row["forecast"]["loss"]
        for row in rows
    ]
    slopes = [r["transfer"]["slope"] for r in rows if r["transfer"]["slope"] is not None]
    standard = [r["transfer"]["sp_slope"] for r in rows if r["transfer"]["sp_slope"] is not None]
    transfers = sum(row["transfer"]["verdict"] == "transfers" for row in rows)
    return (
        f"Forecast error: median {statistics.median(errors):.1f} %, largest {max(errors):.1f} %; "
        f"inside its range in {inside} of {len(rows)}; range half-width {min(halves):.1f} to "
        f"{max(halves):.1f} %. Slope of log2 optimum against log2 width, mean over seeds with a "
        f"90 % t interval: mup {mean_with_interval(slopes)}, sp {mean_with_interval(standard)}; "
        f"verdict `transfers` in {transfers} of {len(rows)}. Wall clock "
        f"{min(r['seconds'] for r in rows) / 60:.1f} to "
        f"{max(r['seconds'] for r in rows) / 60:.1f} minutes."
    )


def main() -> None:
    """Run every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, help="as `windtunnel quickstart --minutes`")
    parser.add_argument("--at-once", type=int, default=1, help="studies side by side")
    parser.add_argument("--folder", type=Path, help="where the studies are kept")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="quickstart-seeds-"))
    usable = sorted(os.sched_getaffinity(0))
    shares = (
        [set(usable)]
        if options.at_once == 1
        else [set(usable[at : at + CORES]) for at in range(0, len(usable), CORES)]
    )
    if options.at_once > len(shares):
        parser.error(f"--at-once {options.at_once} needs {CORES * options.at_once} cores")
    free: queue.SimpleQueue[set[int]] = queue.SimpleQueue()
    for share in shares[: options.at_once]:
        free.put(share)

    def one(seed: int) -> dict[str, Any]:
        cores = free.get()
        try:
            return run_quickstart(folder / f"seed-{seed}", seed, options.minutes, cores)
        finally:
            free.put(cores)

    with ThreadPoolExecutor(options.at_once) as pool:
        rows = list(pool.map(one, range(options.first, options.first + options.seeds)))
    machine = f"{cpu_model()}, {len(shares[0])} cores a study, Python {platform.python_version()}"
    made = datetime.now(UTC).isoformat(timespec="minutes")
    text = f"{made}; {machine}.\n\n{table(rows)}\n\n{digest(rows)}\n"
    print(text)
    if options.write:
        result = {"made_at": made, "machine": machine, "seeds": rows}
        write("quickstart_seeds", result, f"# The quickstart over seeds\n\n{text}", indent=1)


if __name__ == "__main__":
    main()
