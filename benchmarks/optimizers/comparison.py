"""Every optimizer against AdamW on real text, at three widths: which is better, and does it last?

The built-in GPT on this Python's library source as bytes. Each optimizer is tuned (rate and
weight decay, one space for all) with the same FLOPs at the smallest width, taken to the others by
mup, and compared on five seeds that no tuning saw, at two lengths.

    python benchmarks/optimizers/comparison.py --run    can be stopped and gone on with
    python benchmarks/optimizers/comparison.py --write

--write puts benchmarks/results/optimizer_comparison.{json,md,html} and the figures there.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from committed import RESULTS, environment, footer, write

from windtunnel.optimizers import optimizer_names
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.comparison.carry_out import (
    PAGE_FILE,
    carry_out_comparison,
    carry_out_method,
)
from windtunnel.studies.comparison.methods import open_methods
from windtunnel.studies.comparison.spec import ComparisonSpec, load_comparison

FOLDER = Path.home() / ".cache" / "windtunnel" / "benchmarks" / "optimizer_comparison"
NAME = "optimizer_comparison"


def value(names: list[str]) -> dict[str, Any]:
    """The comparison's file."""
    return {
        "baseline": "adamw",
        "methods": {name: {"optimizer": name} for name in names},
        "scales": [
            {"width": 32, "depth": 2, "tokens": 65_536},
            {"width": 64, "depth": 2, "tokens": 98_304},
            {"width": 128, "depth": 2, "tokens": 131_072},
        ],
        "lengths": [0.5, 1.0],
        "seeds": 5,
        "tuning": {"flops": 5e11, "spot_check_seeds": 2},  # 33 trials
        "trend": {"params": 1e9},
        "family": {"name": "gpt", "options": {"head_size": 8}},
        "data": {"source": "stdlib", "sequence_length": 64, "validation_sequences": 256},
        "device": "cpu",
        "workers": 1,
        "recipe": {"batch": 512},
        "search": {
            "hyperparameters": {
                "lr": {"low": 2.0**-12, "high": 2.0**2},
                "weight_decay": {"low": 0.01, "high": 1.0},
            }
        },
    }


def comparison(folder: Path, names: list[str]) -> ComparisonSpec:
    """Write the file and read it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "comparison.yaml"
    path.write_text(yaml.safe_dump(value(names), sort_keys=False), encoding="utf-8")
    return load_comparison(path)


def carry_out_one(folder: Path, names: list[str], name: str) -> str:
    """One method, in a process of its own."""
    spec = comparison(folder, names)
    (method,) = [one for one in open_methods(spec, folder) if one.name == name]
    with StudyProgress(quiet=True) as progress:
        carry_out_method(method, progress)
    return name


def main() -> None:
    """Run or write, as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--optimizers", nargs="+", default=list(optimizer_names()))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    names = list(dict.fromkeys(["adamw", *options.optimizers]))
    spec = comparison(options.folder, names)
    if options.run:
        os.environ["OMP_NUM_THREADS"] = "1"
        list(open_methods(spec, options.folder))  # written by one process alone
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.processes, context) as pool:
            for future in [
                pool.submit(carry_out_one, options.folder, names, name) for name in names
            ]:
                print(future.result(), flush=True)
    if options.write:
        with StudyProgress(quiet=True) as progress:
            found = carry_out_comparison(spec, options.folder, progress)
        write_results(found, options.folder)


def write_results(found: Any, folder: Path) -> None:
    """The table, the words, the page and its figures."""
    from windtunnel.comparing.words import comparison_words
    from windtunnel.report.figures.comparison import comparison_figures
    from windtunnel.report.figures.save import save_figure

    figures = comparison_figures(found)
    for name, figure in figures.items():
        save_figure(figure, RESULTS / f"{NAME}_{name}.svg")
    (RESULTS / f"{NAME}.html").write_text((folder / PAGE_FILE).read_text(encoding="utf-8"))
    lines = [f"# {(__doc__ or '').splitlines()[0]}", ""]
    lines += [" ".join((__doc__ or "").split("\n\n")[1].split()), ""]
    lines += [f"- {line}" for line in comparison_words(found)]
    lines += ["", *(f"![{name}]({NAME}_{name}.svg)" for name in figures)]
    lines += footer("optimizers/comparison", environment())
    write(NAME, found.to_json(), "\n".join(lines))


if __name__ == "__main__":
    main()
