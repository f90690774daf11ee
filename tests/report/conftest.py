"""An invented study with realistic numbers, and whether a browser is here to look at it."""

from __future__ import annotations

import math
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.law import Law
from windtunnel.laws.reading.file import read_table
from windtunnel.laws.table import RunTable
from windtunnel.report.content import StudyContent
from windtunnel.report.figures import Picture, draw_pictures
from windtunnel.report.write import write_report

WIDTHS = (24, 48, 96)
MODULES = ("embedding", "blocks.0.attention.output", "blocks.0.mlp.down", "final_norm", "head")


def _sweep(rule: str, width: int, units: int, best: float) -> dict[str, Any]:
    noise = random.Random(f"{rule} {width} {units}")
    floor = 1.90 + 0.35 * math.log2(96 / width) / 2 + 0.2 * math.log2(600_000 / units) / 2
    points: list[dict[str, Any]] = []
    for exponent in range(-9, -2):
        for seed in (0, 1):
            away = exponent - best
            loss: float | None = floor + 0.035 * away**2 + noise.gauss(0, 0.008)
            if away > 3.4:
                loss = None
            points.append({"lr": 2.0**exponent, "loss": loss, "seed": seed})
    return {
        "rule": rule,
        "width": width,
        "depth": 2,
        "units": units,
        "points": points,
        "optimum": {"lr": 2.0**best, "ci90": [2.0 ** (best - 0.3), 2.0 ** (best + 0.35)]},
    }


def _check(verdict: str, growth: float) -> dict[str, Any]:
    curves, slopes = [], []
    for place, module in enumerate(MODULES):
        slope = growth * (0.6 + 0.1 * place) + 0.02
        for quantity, level in (("activation", 1.0), ("update", 0.2)):
            slopes.append(
                {
                    "module": module,
                    "quantity": quantity,
                    "axis": "width",
                    "step": 5,
                    "slope": slope,
                    "ci90": [slope - 0.04, slope + 0.04],
                }
            )
            curves += [
                {
                    "module": module,
                    "axis": "width",
                    "size": width,
                    "step": step,
                    "quantity": quantity,
                    "rms": level * (1 + 0.4 * place) * (width / 24) ** (slope * step / 5),
                }
                for width in (24, 48, 96, 192)
                for step in (0, 5)
            ]
    largest = max(abs(entry["slope"]) for entry in slopes)
    return {
        "verdict": verdict,
        "max_abs_slope": largest,
        "reason": "invented for the tests",
        "curves": curves,
        "slopes": slopes,
    }


def _law() -> dict[str, Any]:
    fitted = {"E": 1.273, "A": 26.0, "B": 40.0, "alpha": 0.42, "beta": 0.34}

    def loss(params: float, units: float) -> float:
        return (
            fitted["E"]
            + fitted["A"] / params ** fitted["alpha"]
            + fitted["B"] / units ** fitted["beta"]
        )

    params = {24: 14_800, 48: 58_000, 96: 230_000, 192: 918_000}
    lengths = [150_000, 300_000, 600_000, 1_200_000]
    noise = random.Random(5)
    points = [
        {
            "params": params[w],
            "width": w,
            "units": d,
            "loss": loss(params[w], d) + noise.gauss(0, 0.006),
        }
        for w in WIDTHS
        for d in lengths
    ]
    curves = []
    for width, count in params.items():
        units = [150_000 * 2 ** (k / 4) for k in range(19)]
        losses = [loss(count, d) for d in units]
        spread = [0.01 + 0.0027 * k for k in range(len(units))]
        curves.append(
            {
                "params": count,
                "width": width,
                "units": units,
                "loss": losses,
                "low": [a - b for a, b in zip(losses, spread, strict=True)],
                "high": [a + b for a, b in zip(losses, spread, strict=True)],
            }
        )
    return {"points": points, "parameters": fitted, "curves": curves}


def sample_json() -> dict[str, Any]:
    sweeps = [
        *(_sweep("mup", w, 600_000, -6.5 - 0.1 * i) for i, w in enumerate(WIDTHS)),
        *(_sweep("sp", w, 600_000, -5.6 - 1.0 * i) for i, w in enumerate(WIDTHS)),
        *(_sweep("mup", w, 150_000, -6.3 - 0.1 * i) for i, w in enumerate(WIDTHS)),
    ]
    axis = {
        "axis": "width",
        "verdict": "transfers",
        "slope": -0.1,
        "slope_ci90": [-0.28, 0.07],
        "loss_paid_percent": 0.12,
        "varied": [24, 48, 96],
        "target_ratio": 2.0,
        "reason": "the 90 % range of the slope lies within 0.4 of zero",
    }
    return {
        "title": "quickstart",
        "unit": "tokens",
        "metric": "loss",
        "rule": "mup",
        "optimizer": "adamw",
        "made_at": "2026-11-21T06:00:00+00:00",
        "sentences": [
            {
                "label": "Set",
                "text": "Learning rate 0.0110 at base (90 % range 0.0092 to 0.0131).",
                "tone": "good",
            },
            {
                "label": "Expect",
                "text": "Loss 1.620 at the target (90 % range 1.570 to 1.680).",
                "tone": "good",
            },
            {
                "label": "Reached",
                "text": "The target run reached 1.640, 1.2 % above the forecast, inside the range.",
                "tone": "good",
            },
            {
                "label": "Depth",
                "text": "Cannot say: the ladder has one depth, and the target another.",
                "tone": "warn",
            },
            {
                "label": "Cost",
                "text": "Tuning took 0.4 PFLOP; the same seven rates at the target would have "
                "taken 2.1.",
                "tone": "good",
            },
        ],
        "next_command": "windtunnel init my-study",
        "sweeps": sweeps,
        "check": {"mup": _check("pass", 0.0), "sp": _check("fail", 0.9)},
        "transfer": {
            "mup": [axis, {**axis, "axis": "tokens", "slope": -0.12}],
            "sp": [{**axis, "verdict": "drifts", "slope": -1.0, "slope_ci90": [-1.2, -0.8]}],
        },
        "law": _law(),
        "forecast": {
            "loss": 1.62,
            "ci90": [1.57, 1.68],
            "verdict": "ok",
            "reason": "",
            "made_at": "2026-11-21T05:50:00+00:00",
            "params": 918_000,
            "units": 2_500_000,
        },
        "target": {
            "loss": 1.64,
            "loss_se": 0.008,
            "params": 918_000,
            "units": 2_500_000,
            "error_percent": 1.23,
            "inside": True,
        },
        "cost": [
            {"what": "coordinate check", "runs": 32, "flops": 2.1e12, "seconds": 14.0},
            {"what": "tuning", "runs": 64, "flops": 4.1e14, "seconds": 270.0},
            {"what": "target", "runs": 1, "flops": 1.4e13, "seconds": 150.0},
        ],
        "plan": [
            {
                "name": "embedding.weight",
                "role": "input",
                "shape": [256, 192],
                "init": 1.0,
                "lr": 1.0,
                "weight_decay": 1.0,
                "eps": 1.0,
            },
            {
                "name": "blocks.0.attention.output.weight",
                "role": "hidden",
                "shape": [192, 192],
                "init": 0.5**0.5,
                "lr": 0.25,
                "weight_decay": 4.0,
                "eps": 0.25,
            },
        ],
        "environment": {"python": "3.11.2", "torch": "2.13.0+cpu", "threads": 1},
        "seeds": [0, 1],
    }


@pytest.fixture(scope="session")
def sample() -> StudyContent:
    return StudyContent.from_json(sample_json())


@pytest.fixture(scope="session")
def pictures(sample) -> list[Picture]:
    return draw_pictures(sample)


@pytest.fixture(scope="session")
def report(sample, tmp_path_factory) -> Path:
    """The sample's report on disk, in a folder where an older one lay."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "report.html").write_text("an older report")
    return write_report(sample, folder)


@pytest.fixture
def sample_value() -> dict[str, Any]:
    return sample_json()


@pytest.fixture
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no headless browser here (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def runs_csv(tmp_path_factory) -> Path:
    """Chinchilla runs with 0.3 % of noise; the last line is a run that diverged."""
    noise = np.random.default_rng(0)
    lines = ["params,tokens,loss"]
    for params in np.geomspace(2e7, 2e9, 6):
        for tokens in params * np.array([5, 10, 20, 40]):
            loss = 1.8 + 480 / params**0.35 + 2100 / tokens**0.36
            loss *= np.exp(0.003 * noise.standard_normal())
            lines.append(f"{params:.0f},{tokens:.0f},{loss:.4f}")
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    path.write_text("\n".join([*lines, "20000000,400000000,nan"]) + "\n")
    return path


@pytest.fixture(scope="session")
def runs_table(runs_csv) -> RunTable:
    return read_table(runs_csv)


@pytest.fixture(scope="session")
def fitted(runs_table) -> Law:
    return fit_law(runs_table, draws=60)
