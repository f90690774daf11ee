"""Real transfer on real text: learning-rate sweeps over widths and depths, rule by rule.

The built-in GPT on the standard library's source. Every sweep has seven rates or more, a factor of
two apart, and three seeds; one whose best rate is its last is widened. Rules that set the same
model the same way (muP and CompleteP at the base's depth, all rules without depth at the base's
width) share their runs.

    python benchmarks/transfer --plan                       what there is to do, and what it takes
    python benchmarks/transfer --run --processes 2          do it; can be stopped and gone on with
    python benchmarks/transfer --write                      tables and figure of what is there

--write puts them into benchmarks/results/transfer.{json,md,png,svg}. --gpu takes the larger
sizes, on one CUDA device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from runs import losses, read_records, run_all
from settings import ARMS, CPU, GPU, SEEDS, Arm, Setting
from sweeps import cells, due, rates

FOLDER = Path.home() / ".cache" / "windtunnel" / "benchmarks"


def show_plan(setting: Setting, arms: tuple[Arm, ...], folder: Path, processes: int) -> None:
    """Print every sweep: its rates, how many runs are missing, and how long they take."""
    done = losses(read_records(folder))
    every = cells(setting, arms)
    missing = list(due(setting, every, done))
    first: dict[str, str] = {}
    for cell in every:
        label = f"{cell.arm.name}, width {cell.scale.width}, depth {cell.scale.depth}"
        if cell.treatment in first:
            print(f"{label}: the same runs as {first[cell.treatment]}")
            continue
        first[cell.treatment] = label
        sweep = rates(setting, cell, done)
        left = sum(job.cell == cell for job in missing)
        seconds = left * setting.seconds(cell.arm, cell.scale)
        print(
            f"{label}: rates 2^{sweep[0]} to 2^{sweep[-1]}, {len(sweep) * len(SEEDS)} runs, "
            f"{left} missing, about {seconds / 60:.1f} core minutes"
        )
    seconds = sum(setting.seconds(job.cell.arm, job.cell.scale) for job in missing)
    print(
        f"{len(missing)} runs missing: about {seconds / 60 / processes:.0f} minutes of {processes} "
        "processes, and more where a sweep has to be widened"
    )


def main() -> None:
    """Plan, run or write, as asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--rules", nargs="+", choices=[arm.name for arm in ARMS])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, help=f"where runs are kept; by default in {FOLDER}")
    options = parser.parse_args()
    setting = GPU if options.gpu else CPU
    arms = tuple(arm for arm in ARMS if not options.rules or arm.name in options.rules)
    folder = options.folder or FOLDER / setting.name
    if options.plan:
        show_plan(setting, arms, folder, options.processes)
    if options.run:
        run_all(setting, cells(setting, arms), folder, options.processes)
    if options.write:
        from results import write

        write(setting, arms, folder)


if __name__ == "__main__":
    main()
