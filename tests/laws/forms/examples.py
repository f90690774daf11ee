"""An example of every form, with the formula as its paper writes it."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

from windtunnel.laws.forms import FORMS

Example = runpy.run_path(str(Path(__file__).with_name("conformance.py")))["Example"]


def grid(**axes: tuple[float, float, int]) -> dict[str, np.ndarray]:
    """All combinations of values spread evenly in log: name to (least, most, how many)."""
    values = [np.geomspace(least, most, count) for least, most, count in axes.values()]
    mesh = np.meshgrid(*values, indexing="ij")
    return {name: part.ravel() for name, part in zip(axes, mesh, strict=True)}


SIZES = {"params": (1e7, 1e9, 6), "tokens": (1e8, 5e10, 6)}

EXAMPLES = {
    "chinchilla": Example(
        FORMS["chinchilla"],
        grid(**SIZES),
        (-1.6, -1.2, -0.6, -1.1, 0.1),
        lambda p, x: (
            p["E"] + p["A"] / x["params"] ** p["alpha"] + p["B"] / x["tokens"] ** p["beta"]
        ),
        ("alpha", "beta"),
    ),
}
