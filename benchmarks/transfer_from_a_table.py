"""Is the verdict of `windtunnel transfer RUNS.csv` right, and does its 90 % range hold the truth?

First on made-up tables whose drift along width is known: four widths, nine rates half an octave
apart, a curve that is steeper towards high rates, and two sizes of noise. Then on the released
grids of Step Law, whose paper gives the exponents of the best rate in parameters and tokens.

The page is printed; --write also puts it into benchmarks/results/transfer_from_a_table.{json,md}.
The grids are read from ../shared/data beside the checkout; without them that part is left out.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import Any

import committed
import numpy as np

from windtunnel.laws.reading.file import read_raw
from windtunnel.laws.reading.raw import RawTable
from windtunnel.laws.sweeps.judge import judge_table
from windtunnel.laws.sweeps.table import read_tuning_table

GRIDS = Path(__file__).parents[2] / "shared/data/steplaw_dense_small.csv"
# Li et al. 2025 (arXiv:2503.04715), as in windtunnel.laws.published_hyperparameters.
PUBLISHED = {"params": -0.713, "tokens": 0.307}
WIDTHS = (128, 256, 512, 1024)
SLOPES = (0.0, -0.2, -0.5, -1.0)
NOISES = (0.002, 0.005)


def made_up(slope: float, noise: float, seed: int) -> RawTable:
    """A table whose best rate moves by `slope` octaves for each doubling of the width."""
    draw = np.random.default_rng(seed)
    rows = []
    for octave, width in enumerate(WIDTHS):
        # Rates on a common grid, as people have them: the optimum lies anywhere between.
        best = -6 + draw.uniform(-0.25, 0.25) * (octave == 0) + slope * octave
        centre = round(2 * best) / 2
        for k in range(-4, 5):
            away = centre + k / 2 - best
            rise = 0.06 * (math.exp(0.4 * away) - 0.4 * away - 1) / 0.16
            loss = (3 - 0.2 * octave) * math.exp(rise + noise * draw.standard_normal())
            rows.append((width, 2.0 ** (centre + k / 2), loss))
    columns = zip(*rows, strict=True)
    return RawTable(
        "made up",
        "row",
        np.arange(1, len(rows) + 1),
        dict(zip(("width", "lr", "loss"), map(np.array, columns), strict=True)),
    )


def on_made_up_tables(tables: int) -> list[dict[str, Any]]:
    """Verdicts, errors and coverage by slope and noise."""
    found = []
    for noise in NOISES:
        for slope in SLOPES:
            verdicts: Counter[str] = Counter()
            errors, held, widths = [], 0, []
            for seed in range(tables):
                axis = judge_table(read_tuning_table(made_up(slope, noise, seed), {})).axes[0]
                verdicts[axis.verdict] += 1
                if axis.slope is None or axis.slope_ci90 is None:
                    continue
                low, high = axis.slope_ci90
                errors.append(axis.slope - slope)
                widths.append(high - low)
                held += low <= slope <= high
            found.append(
                {
                    "noise": noise,
                    "slope": slope,
                    "verdicts": dict(verdicts),
                    "rms_error": float(np.sqrt(np.mean(np.square(errors)))),
                    "median_range": float(np.median(widths)),
                    "coverage": held / len(errors),
                }
            )
    return found


def on_grids() -> dict[str, Any] | None:
    """The verdict on Step Law's grids."""
    if not GRIDS.exists():
        return None
    given = {"width": "", "depth": "", "heads": ""}
    return judge_table(read_tuning_table(read_raw(GRIDS), given)).to_json()


def page(found: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = [
        "# Transfer verdicts from a table of runs",
        "",
        f"Made-up tables ({found['tables']} a row): widths {', '.join(map(str, WIDTHS))}, nine "
        "rates at each, noise of the loss as given. `transfers` asks for a 90 % range within "
        "+-0.4 and a loss paid of at most 0.5 %.",
        "",
        "| noise | planted slope | error (rms) | 90 % range (median) | holds the truth "
        "| transfers | drifts | cannot say |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["made_up"]:
        counts = (row["verdicts"].get(word, 0) for word in ("transfers", "drifts", "cannot say"))
        lines.append(
            f"| {100 * row['noise']:.1f} % | {row['slope']:+.1f} | {row['rms_error']:.3f} "
            f"| {row['median_range']:.2f} | {100 * row['coverage']:.0f} % "
            f"| {' | '.join(map(str, counts))} |"
        )
    if found["grids"] is not None:
        lines += [
            "",
            "Step Law's grids (1404 runs, 12 sizes; no two models share a length, so the slope "
            "along parameters is from both axes at once). The published exponents were fitted to "
            "these runs and larger ones.",
            "",
            "| axis | slope | 90 % range | published | verdict |",
            "|---|---|---|---|---|",
        ]
        for axis in found["grids"]["axes"]:
            low, high = axis["slope_ci90"]
            lines.append(
                f"| {axis['axis']} | {axis['slope']:+.2f} | {low:+.2f} to {high:+.2f} "
                f"| {PUBLISHED[axis['axis']]:+.3f} | {axis['verdict']} |"
            )
    where = {"machine": committed.machine()}
    return "\n".join([*lines, *committed.footer("transfer_from_a_table", where)])


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found = {
        "tables": options.tables,
        "made_up": on_made_up_tables(options.tables),
        "grids": on_grids(),
    }
    text = page(found)
    print(text)
    if options.write:
        kept = found["grids"]
        if kept is not None:
            kept = {key: kept[key] for key in ("verdict", "axes", "remarks")}
        committed.write("transfer_from_a_table", {**found, "grids": kept}, text)


if __name__ == "__main__":
    main()
