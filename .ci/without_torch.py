"""Run with the base install only: what must work without torch does, and torch is really absent."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOMS = ("comparing", "data", "laws", "report", "schedules", "search")
FILES = ("cli", "errors", "files", "scale", "spec")


def import_everything() -> int:
    """Import every module of the torch-free rooms, but for the search's executors, which train."""
    names = [f"windtunnel.{name}" for name in FILES]
    for room in ROOMS:
        package = importlib.import_module(f"windtunnel.{room}")
        names.append(package.__name__)
        names += [
            module.name
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        ]
    names = [name for name in names if not name.startswith("windtunnel.search.executors")]
    for name in names:
        importlib.import_module(name)
    return len(names)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `windtunnel` as installed."""
    program = shutil.which("windtunnel")
    assert program is not None, "the console script is missing"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)


def forecast_from_a_table(folder: Path) -> None:
    """What an analyst does: from a table of runs to a forecast and a plan."""
    rows = [
        f"{params},{tokens},{1.8 + 480 / params**0.35 + 2100 / tokens**0.37:.4f}"
        for params in (2e7, 5e7, 1e8, 2e8, 5e8)
        for tokens in (1e9, 3e9, 1e10, 3e10)
    ]
    runs, fit = folder / "runs.csv", folder / "fit.json"
    runs.write_text("\n".join(["params,tokens,loss", *rows]))
    fitted = command("laws", "fit", str(runs), "--json")
    assert fitted.returncode == 0, fitted
    fit.write_text(fitted.stdout)
    said = command("laws", "forecast", str(fit), "--params", "2B", "--tokens", "1e11", "--json")
    assert said.returncode == 0, said
    true = 1.8 + 480 / 2e9**0.35 + 2100 / 1e11**0.37
    assert abs(json.loads(said.stdout)["loss"] / true - 1) < 0.01, said
    planned = command("laws", "plan", str(fit), "--flops", "1e21")
    assert planned.returncode == 0 and "tokens" in planned.stdout, planned


def a_study_of_a_command(folder: Path) -> None:
    """An engineer with a loop of her own: no torch where Windtunnel runs."""
    folder.mkdir()
    (folder / "train.py").write_text(
        """import math, sys
import windtunnel
width, tokens, rate, seed = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
away = math.log2(rate) + 6 + ((width * 7 + tokens // 1000 * 3 + seed) % 5 - 2) / 40
loss = (1.7 + 40 / (24 * width**2) ** 0.45 + 90 / tokens**0.4) * math.exp(0.02 * away**2)
windtunnel.report(step=1, loss=loss)
"""
    )
    (folder / "study.yaml").write_text(
        """run: python train.py {width} {tokens} {lr} {seed}
base: {width: 32, depth: 2, tokens: 100k}
ladder: {width: [16, 32, 64], depth: 2, tokens: [100k, 200k, 400k]}
target: {width: 128, depth: 2, tokens: 600k}
recipe: {batch: 1000}
workers: 2
search: {hyperparameters: {lr: {low: 0.004, high: 0.064}}, seeds: 2}
"""
    )
    ran = command("run", str(folder), "--json")
    assert ran.returncode in (0, 3, 4), ran
    summary = json.loads(ran.stdout)
    assert abs(summary["target"]["error_percent"]) < 3, summary["target"]
    assert summary["rule"] == "own" and summary["coordinate_check"] is None


def transfer_from_a_table(folder: Path) -> None:
    """Another analyst: does the best rate stay put as the models grow?"""
    rows = [
        f"{width},{2 ** (-6 + k / 2)},{(3 - octave / 9) * (1 + 0.02 * (k / 2) ** 2):.4f}"
        for octave, width in enumerate((128, 256, 512, 1024))
        for k in range(-5, 6)
    ]
    runs = folder / "sweeps.csv"
    runs.write_text("\n".join(["dim,opt.lr,val", *rows]))
    names = ("--columns", "width=dim,lr=opt.lr,loss=val")
    judged = command("transfer", str(runs), *names, "--plot", str(folder / "rates.svg"))
    assert judged.returncode == 0 and "Width transfers" in judged.stdout, judged


def main() -> None:
    """Check, and say what was checked."""
    for package in ("torch", "safetensors", "pyarrow", "tokenizers", "zstandard", "pytest"):
        assert importlib.util.find_spec(package) is None, f"{package} is in the base install"

    import windtunnel

    assert "site-packages" in windtunnel.__file__, windtunnel.__file__
    print(f"{import_everything()} modules imported")

    shown = command("--help")
    assert shown.returncode == 0 and "quickstart" in shown.stdout, shown
    wrong = command("no-such-command")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr, wrong

    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        made = command("init", str(study))
        assert made.returncode == 0, made
        from windtunnel.spec import load_study

        load_study(study / "study.yaml")
        refused = command("train", str(study))
        assert refused.returncode == 2, refused
        assert "windtunnel[train]" in refused.stderr, refused
        assert "Traceback" not in refused.stderr, refused

        forecast_from_a_table(Path(folder))
        transfer_from_a_table(Path(folder))
        a_study_of_a_command(Path(folder) / "own")

    assert "torch" not in sys.modules
    print("the command line, a study file, a table of runs, and a step that needs torch: all well")


if __name__ == "__main__":
    main()
