"""The table, the figure and the JSON of what there is."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis import AXES, Difference, Line, lines
from figure import draw
from runs import losses, read_records
from settings import ARMS, SEEDS, Arm, Setting
from sweeps import cells, due

RESULTS = Path(__file__).parent.parent / "results"


def write(setting: Setting, arms: tuple[Arm, ...], folder: Path) -> None:
    """Put everything into benchmarks/results, and say what is missing."""
    records = read_records(folder)
    every = cells(setting, arms)
    found = losses(records)
    used = [r for r in records if r["treatment"] in {cell.treatment for cell in every}]
    missing = sum(1 for _ in due(setting, every, found))
    measured = lines(setting, arms, found)
    text = report(setting, measured, used, missing)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{setting.name}.md").write_text(text)
    content = {
        "machines": _machines(used),
        "seeds": list(SEEDS),
        "missing_runs": missing,
        "lines": [line_json(line) for line in measured],
        "runs": used,
    }
    (RESULTS / f"{setting.name}.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(setting, measured, RESULTS / setting.name)


def report(
    setting: Setting, measured: list[Line], records: list[dict[str, Any]], missing: int
) -> str:
    """The page: what was done, two tables, and what is missing."""
    base, recipe = setting.base, setting.recipe(ARMS[0], 0)
    hours = sum(record["seconds"] for record in records) / 3600
    machines = "; ".join(
        f"{m['cpu']}, {m['device']}, torch {m['torch']}" for m in _machines(records)
    )
    parts = [
        "# Transfer of the learning rate\n",
        f"{datetime.now(UTC).isoformat(timespec='minutes')}; {machines}; {len(records)} runs, "
        f"{hours:.1f} hours of one process, seeds {', '.join(map(str, SEEDS))}.\n",
        f"The built-in GPT (head size {setting.head_size}, untied, SwiGLU, queries and readout "
        f"zero at first) on the standard library's source as bytes: {base.units:,} tokens, "
        f"{setting.batch:,} a step in sequences of {setting.sequence_length}, "
        f"{recipe.schedule} schedule, decay {recipe.weight_decay:g}, clipped at "
        f"{recipe.clip_norm:g}, {setting.precision}. Rates a factor of two apart, quoted at "
        f"width {base.width}, depth {base.depth}; at least seven a sweep, more where the best was "
        "the last. u-mup has its unit-scaled operations, whose weights all start N(0, 1), and no "
        "clipping: its gradients have norms of hundreds.\n",
        "With a readout that starts at zero, sp-full-alignment gives every matrix mup's spread and "
        "rate; the two differ in epsilon and in the gauge that gradients are clipped in.\n",
        "Best rates are log2, with standard errors. Drift is in octaves of the best rate an octave "
        "of size, with its 90 % range. Losses are in percent of the loss, paired over the seeds, "
        "with 90 % t ranges: `paid` at the largest size with the base's best rate instead of its "
        "own; `tuned` at its own best rate, over sp at sp's own best rate there; `transferred` "
        "with the base's best rate, over that same tuned sp. Negative is better than sp.\n",
    ]
    if missing:
        parts.append(f"**Not complete: {missing} runs are missing.**\n")
    for axis in AXES:
        own = [line for line in measured if line.axis == axis]
        parts += [f"## Along {axis}\n", table(setting, axis, own), _same(own)]
    parts.append(f"![loss against rate]({setting.name}.svg)\n")
    return "\n".join(part for part in parts if part)


def table(setting: Setting, axis: str, own: list[Line]) -> str:
    """One row a rule."""
    sizes = list(setting.axis(axis))
    heads = [
        "rule",
        *(f"best at {size}" for size in sizes),
        "drift (90 %)",
        f"paid at {sizes[-1]}",
        f"loss at {sizes[-1]}",
        "tuned, over sp",
        "transferred, over sp",
    ]
    rows = [
        [
            line.arm.name,
            *(_best(line, size) for size in sizes),
            "none" if line.drift is None else _range(line.drift.slope, line.drift.ci90, 2),
            _percent(line.paid),
            f"{line.sweeps[sizes[-1]].optimum.loss:.3f}" if sizes[-1] in line.sweeps else "missing",
            _percent(line.against_sp),
            _percent(line.transferred_against_sp),
        ]
        for line in own
    ]
    divider = ["---"] * len(heads)
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, divider, *rows]) + "\n"


def line_json(line: Line) -> dict[str, Any]:
    """A line as plain JSON values."""
    differences = {
        name: None if value is None else value.to_json()
        for name, value in (
            ("paid", line.paid),
            ("tuned_over_sp", line.against_sp),
            ("transferred_over_sp", line.transferred_against_sp),
        )
    }
    return {
        "rule": line.arm.name,
        "optimizer": line.arm.optimizer,
        "axis": line.axis,
        "missing": list(line.missing),
        "drift": None
        if line.drift is None
        else {"slope": line.drift.slope, "ci90": list(line.drift.ci90)},
        **differences,
        "optima": {
            str(size): sweep.optimum.to_json() | {"treatment": sweep.cell.treatment}
            for size, sweep in line.sweeps.items()
        },
    }


def _best(line: Line, size: int) -> str:
    if size not in line.sweeps:
        return "missing"
    optimum = line.sweeps[size].optimum
    if not math.isfinite(optimum.se):
        return f"{optimum.log2_value:.1f} (flat)"
    return f"{optimum.log2_value:.2f} ± {optimum.se:.2f}"


def _percent(difference: Difference | None) -> str:
    if difference is None:
        return "missing"
    if (difference.percent, *difference.ci90) == (0.0, 0.0, 0.0):
        return "the same runs"
    if math.isinf(difference.percent):
        return "diverges"
    if math.isnan(difference.percent):
        return "beyond the rates tried"
    return _range(difference.percent, difference.ci90, 1, " %")


def _range(value: float, ci90: tuple[float, float], digits: int, unit: str = "") -> str:
    middle, low, high = (f"{round(number, digits) + 0.0:+.{digits}f}" for number in (value, *ci90))
    return f"{middle}{unit} ({low} to {high})"


def _same(own: list[Line]) -> str:
    """Which rules set every size of this axis the same way, and so are one set of runs."""
    together: dict[tuple[str, ...], list[str]] = {}
    for line in own:
        if not line.missing:
            treatments = tuple(sweep.cell.treatment for sweep in line.sweeps.values())
            together.setdefault(treatments, []).append(line.arm.name)
    shared = [" = ".join(names) for names in together.values() if len(names) > 1]
    return f"The same plans, so the same runs: {'; '.join(shared)}.\n" if shared else ""


def _machines(records: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The distinct machines the runs were made on."""
    return [dict(pairs) for pairs in dict.fromkeys(tuple(r["machine"].items()) for r in records)]
