"""Does every optimizer's best learning rate stay put as the model widens? One table for all.

The sweeps of `benchmarks/transfer`, with the optimizers in the place of the rules: the built-in GPT
on the standard library's source under mup, each optimizer by the rates that its geometry gives it.

    python benchmarks/optimizers/drift.py --run --processes 2    can be stopped and gone on with
    python benchmarks/optimizers/drift.py --write

--write puts the table into benchmarks/results/optimizer_drift.{json,md}.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "transfer")]

from analysis import Line, lines
from committed import write
from results import line_json
from runs import losses, read_records, run_all
from settings import SEEDS, Arm, Setting
from sweeps import cells, due

from windtunnel.optimizers import geometry_of, optimizer_names
from windtunnel.scale import Scale

FOLDER = Path.home() / ".cache" / "windtunnel" / "benchmarks" / "optimizer_drift"
SETTING = Setting(
    name="optimizer_drift",
    base=Scale(width=32, depth=2, units=65_536),
    widths=(32, 64, 128),
    depths=(2,),
    sequence_length=64,
    batch=512,
    head_size=8,
    validation_sequences=256,
)
# Log2 of the rate in the middle of a sweep: a guess that saves runs, for sweeps are widened.
CENTRES = {"sgd": 0.0, "adafactor": -5.0, "dion": -5.0}
NEAR = 0.25  # octaves an octave: what the laws' verdict on an axis calls transfer


def arms(names: list[str]) -> tuple[Arm, ...]:
    """One an optimizer."""
    return tuple(
        Arm(name, "mup", optimizer=name, centre=CENTRES.get(name, -7.0 if "lion" in name else -6.0))
        for name in names
    )


def page(measured: list[Line], missing: int, where: str) -> str:
    """The table in words."""
    base = SETTING.base
    heads = ["optimizer", "geometry", *(f"best at {w}" for w in SETTING.widths)]
    heads += ["drift (90 %)", f"paid at {SETTING.widths[-1]}", f"loss at {SETTING.widths[-1]}"]
    rows = [" | ".join(row(line)) for line in measured]
    known = [line for line in measured if line.drift is not None]
    still = sum(line.drift.ci90[0] <= 0 <= line.drift.ci90[1] for line in known if line.drift)
    near = sum(abs(line.drift.slope) <= NEAR for line in known if line.drift)
    incomplete = [f"**Not complete: {missing} runs are missing.**", ""] if missing else []
    return "\n".join(
        [
            "# The best learning rate of every optimizer as the model widens",
            "",
            f"The built-in GPT under mup (depth {base.depth}, heads of {SETTING.head_size}) on "
            f"this Python's library source as bytes, {base.units:,} tokens, {SETTING.batch} a "
            "step; "
            f"seeds {', '.join(map(str, SEEDS))}. Rates are log2, quoted at width {base.width}, "
            "with standard errors; drift is in octaves of the best rate an octave of width, with "
            "its 90 % range; `paid` is what the first width's best rate costs at the last, in % of "
            "the loss.",
            "",
            *incomplete,
            "| " + " | ".join(heads) + " |",
            "|" + " --- |" * len(heads),
            *(f"| {one} |" for one in rows),
            "",
            f"Of {len(known)} optimizers, the drift's range holds 0 for {still}, and its size is "
            f"at most {NEAR:g} for {near}. Of the {len(measured) - len(known)} whose bowls are too "
            "flat for that, the best rate tried moves by at most "
            f"{max((moved(line) for line in measured if line.drift is None), default=0.0):.2g} "
            "octaves over all widths.",
            "",
            f"Measured on: {where}.",
            "",
            "Made by `python benchmarks/optimizers/drift.py --run --write`.",
            "",
        ]
    )


def moved(line: Line) -> float:
    """Octaves between the best rates at all widths."""
    rates = [sweep.optimum.log2_value for sweep in line.sweeps.values()]
    return max(rates) - min(rates) if rates else 0.0


def best_at(line: Line, width: int) -> str:
    """The best rate at one width, or the best of those tried where the bowl is too flat."""
    if width not in line.sweeps:
        return "missing"
    optimum = line.sweeps[width].optimum
    if not math.isfinite(optimum.se):
        return f"{optimum.log2_value:.0f} (flat)"
    return f"{optimum.log2_value:.2f} ± {optimum.se:.2f}"


def row(line: Line) -> list[str]:
    """One optimizer's cells."""
    best = [best_at(line, width) for width in SETTING.widths]
    drift = "none"
    if line.drift is not None:
        low, high = line.drift.ci90
        drift = f"{line.drift.slope:+.2f} ({low:+.2f} to {high:+.2f})"
    paid, last = "missing", SETTING.widths[-1]
    if line.paid is not None and math.isfinite(line.paid.percent):
        low, high = line.paid.ci90
        paid = f"{line.paid.percent:+.1f} % ({low:+.1f} to {high:+.1f})"
    loss = f"{line.sweeps[last].optimum.loss:.3f}" if last in line.sweeps else "missing"
    return [line.arm.name, str(geometry_of(line.arm.optimizer)), *best, drift, paid, loss]


def main() -> None:
    """Run or write, as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--optimizers", nargs="+", default=list(optimizer_names()))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    chosen = arms(options.optimizers)
    if options.run:
        run_all(SETTING, cells(SETTING, chosen), options.folder, options.processes)
    if options.write:
        records = read_records(options.folder)
        found = losses(records)
        measured = [line for line in lines(SETTING, chosen, found) if line.axis == "width"]
        missing = sum(1 for _ in due(SETTING, cells(SETTING, chosen), found))
        machines = {f"{r['machine']['cpu']}, torch {r['machine']['torch']}" for r in records}
        text = page(measured, missing, "; ".join(sorted(machines)))
        print(text)
        write(
            SETTING.name,
            {"missing_runs": missing, "lines": [line_json(one) for one in measured]},
            text,
        )


if __name__ == "__main__":
    main()
