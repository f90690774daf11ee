"""Tune every method alike, train what counts, and compare."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from windtunnel.comparing.compare_methods import MethodComparison, compare_methods
from windtunnel.comparing.finished import MethodRuns
from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically, write_json
from windtunnel.report.comparison_page import comparison_page
from windtunnel.report.progress import StudyProgress
from windtunnel.search.fixed import FixedPolicy
from windtunnel.spec import BRACKETS
from windtunnel.studies.comparison.finished_runs import finished_runs
from windtunnel.studies.comparison.methods import MethodStudy, open_methods
from windtunnel.studies.comparison.spec import ComparisonSpec
from windtunnel.studies.execute import COMPARE, execute
from windtunnel.studies.tune import tune

RUNS_FILE = "runs.csv"
COMPARISON_FILE = "comparison.json"
PAGE_FILE = "comparison.html"


def carry_out_comparison(
    spec: ComparisonSpec, folder: Path, progress: StudyProgress, *, workers: int | None = None
) -> MethodComparison:
    """Do what is missing of a comparison, and write what came of it.

    That is `runs.csv`, `comparison.json` and `comparison.html`.

    Every method is tuned with the same FLOPs at the first scale, in the same space unless the file
    gives it one of its own; its best recipe is taken to all scales by the rule, and trained on
    seeds that no tuning saw, at every length. All methods see the same batches in the same order.
    At the last scale other learning rates are tried, to see whether one of them is better.

    A comparison that was stopped goes on where it was; finished runs are never repeated.

    Args:
        spec: The comparison.
        folder: Where each method has a folder, and the outcome is written.
        progress: Where bars are shown.
        workers: Runs at a time; None is as the file says.

    Raises:
        WindtunnelError: A method can't be carried out, or one of its runs failed for good.
        CannotSayError: All of a method's tuning runs diverged.
    """
    methods = list(open_methods(spec, folder, workers=workers))
    for method in methods:
        carry_out_method(method, progress)
    table = finished_runs(methods, f"{folder.name}/{RUNS_FILE}")
    write_atomically(folder / RUNS_FILE, runs_csv(table))
    (along, size), *_ = [*spec.trend.items(), (None, None)]
    found = compare_methods(
        table, spec.baseline, effect=spec.effect / 100, along=along, target=size
    )
    write_json(folder / COMPARISON_FILE, found.to_json())
    write_atomically(folder / PAGE_FILE, comparison_page(found, ", ".join(table.methods)))
    return found


def carry_out_method(method: MethodStudy, progress: StudyProgress) -> None:
    """Tune one method and train what counts, or what is missing of that.

    Raises:
        WindtunnelError: It can't be carried out, or one of its runs failed for good.
        CannotSayError: All of its tuning runs diverged.
    """
    study = method.study
    if study.spec.search.policy.name == BRACKETS:
        raise WindtunnelError(
            "search.policy: brackets spend what they need, and methods are to be tuned with one "
            "budget; choose sobol, random, optuna, hyperband or another"
        )
    progress.say(f"{method.name}:")
    tuned: dict[str, Any] = study.read("tune") or tune(study, progress)
    decisions = method.decisions(tuned["recommended"])
    execute(method.unlimited, COMPARE, FixedPolicy(decisions), progress)


def runs_csv(table: MethodRuns) -> str:
    """The runs as `windtunnel compare RUNS.csv` reads them."""
    axes = list(dict.fromkeys(axis for run in table.runs for axis in run.scale))
    settings = list(dict.fromkeys(name for run in table.runs for name in run.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measures = ("flops", "seconds", "params", "state_bytes")
    writer.writerow(
        ["method", "stage", *axes, table.unit, "seed", table.metric.name, *measures, *settings]
    )
    for run in table.runs:
        writer.writerow(
            [
                run.method,
                run.stage,
                *(run.scale.get(axis, "") for axis in axes),
                run.units,
                run.seed,
                run.loss,
                *("" if (v := getattr(run, name)) is None else v for name in measures),
                *(run.settings.get(name, "") for name in settings),
            ]
        )
    return text.getvalue()
