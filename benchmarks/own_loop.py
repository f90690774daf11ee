"""The quickstart through a training script of one's own: is it the same table?

Once as `windtunnel quickstart` trains it, and once as a study whose `run:` is
`examples/own_loop.py`, forty lines that know nothing of our loop. The runs under muP are joined by
width, length, rate and seed; a command has no standard parametrization to be held against.

    python benchmarks/own_loop.py --write    # about 15 minutes of two cores
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from committed import environment, footer, write

from windtunnel.studies.quickstart import quickstart

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "own_loop.py"
VALIDATION = 512  # sequences, as the example has it
COMMAND = [sys.executable, "-c", "from windtunnel.cli import main; main()"]
Table = dict[tuple[int, int, float, int], float | None]


def windtunnel(*words: str) -> None:
    """Run the command line; a verdict against is no failure here."""
    done = subprocess.run([*COMMAND, *words], stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 3, 4):
        raise SystemExit(f"windtunnel {' '.join(words)} ended with {done.returncode}")


def command_study(quickstart: Path, folder: Path) -> None:
    """The same study with the example as its command."""
    study: dict[str, Any] = yaml.safe_load((quickstart / "study.yaml").read_text())
    kept = ("base", "ladder", "target", "recipe", "search", "seed")
    (folder / "study.yaml").write_text(
        yaml.safe_dump(
            {name: study[name] for name in kept if name in study}
            | {
                "name": "own-loop",
                "run": f"{sys.executable} {EXAMPLE} --width {{width}} --tokens {{tokens}} "
                "--lr {lr} --seed {seed}",
                "workers": 2,  # each is told to use one thread, as our own workers do
            }
        )
    )


def table(folder: Path, rule: str) -> Table:
    """The losses of a study's runs under one rule."""
    from windtunnel.studies.execute import results
    from windtunnel.studies.study import open_study

    return {
        (
            result["run"].scale.width,
            result["run"].scale.units,
            result["run"].recipe.lr,
            result["run"].init_seed,
        ): result["loss"]
        for rows in results(open_study(folder)).values()
        for result in rows
        if result["run"].rule == rule
    }


def main() -> None:
    """Carry both out and join them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--minutes", default="5")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ours, own = Path(scratch, "ours"), Path(scratch, "own")
        own.mkdir()
        quickstart(ours, minutes=float(options.minutes))
        text = (ours / "study.yaml").read_text()
        (ours / "study.yaml").write_text(
            re.sub("validation_sequences: [0-9]+", f"validation_sequences: {VALIDATION}", text)
        )
        windtunnel("run", str(ours))
        command_study(ours, own)
        windtunnel("run", str(own))
        one, other = table(ours, "mup"), table(own, "own")
        forecasts = [json.loads((f / "forecast.json").read_text()) for f in (ours, own)]
    shared = sorted(set(one) & set(other))
    equal = sum(one[place] == other[place] for place in shared)
    finite = [
        abs(a - b) for p in shared if (a := one[p]) is not None and (b := other[p]) is not None
    ]
    found = {
        "runs_ours": len(one),
        "runs_own": len(other),
        "shared": len(shared),
        "bit_equal": equal,
        "largest_difference": max(finite, default=None),
        "rate": [f["lr"] for f in forecasts],
        "forecast": [f["loss"] for f in forecasts],
        "verdict": [f["verdict"] for f in forecasts],
    }
    lines = [
        "# The quickstart through a training script of one's own",
        "",
        f"The quickstart's study for {options.minutes} minutes, with {VALIDATION} validation "
        "sequences as the script has it, and the same study with `run: examples/own_loop.py`: "
        f"{found['shared']} runs are in both tables (of {found['runs_ours']} under muP and of "
        f"{found['runs_own']}), and {equal} of them have the same loss to the bit; the largest "
        f"difference is {found['largest_difference']:.3g}.",
        "",
        "| | our loop | the script |",
        "|---|---|---|",
        f"| rate of the target | {found['rate'][0]:.6g} | {found['rate'][1]:.6g} |",
        f"| its forecast loss | {found['forecast'][0]:.6f} | {found['forecast'][1]:.6f} |",
        f"| verdict | {found['verdict'][0]} | {found['verdict'][1]} |",
        *footer("own_loop", environment()),
    ]
    page = "\n".join(lines)
    print(page)
    if options.write:
        write("own_loop", found, page)


if __name__ == "__main__":
    main()
