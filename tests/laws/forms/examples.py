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


def _chinchilla(p, x):
    return p["E"] + p["A"] / x["params"] ** p["alpha"] + p["B"] / x["tokens"] ** p["beta"]


def _over_training(p, x):
    flops, m = 6 * x["params"] * x["tokens"], x["tokens"] / x["params"]
    return p["E"] + (p["a"] * m ** p["h"] + p["b"] * m ** -p["h"]) * flops ** -p["h"]


def _coupled(p, x):
    inner = p["A"] / x["params"] ** p["a"] + p["B"] / x["tokens"] ** p["b"]
    return p["E"] + inner ** p["g"]


def _kaplan(p, x):
    by_params = (p["Nc"] / x["params"]) ** (p["aN"] / p["aD"])
    return (by_params + p["Dc"] / x["tokens"]) ** p["aD"]


def _power(name):
    return lambda p, x: p["E"] + p["A"] / x[name] ** p["alpha"]


def _data_constrained(p, x):
    n, d, u = x["params"], x["tokens"], x["unique_tokens"]
    alpha, beta = p["alpha"], p["beta"]
    g = (alpha * p["A"] / (beta * p["B"])) ** (1 / (alpha + beta))
    u_d = np.minimum(u, d)
    u_n = np.minimum(n, g * (g * u_d) ** (beta / alpha))
    r_d, r_n = np.maximum(d / u - 1, 0), np.maximum(n / u_n - 1, 0)
    worth_d = u_d + u_d * p["R_D*"] * (1 - np.exp(-r_d / p["R_D*"]))
    worth_n = u_n + u_n * p["R_N*"] * (1 - np.exp(-r_n / p["R_N*"]))
    return p["E"] + p["A"] / worth_n**alpha + p["B"] / worth_d**beta


def _vocabulary(p, x):
    body = p["A1"] / x["params"] ** p["alpha"] + p["B"] / x["tokens"] ** p["alpha"]
    return body + p["A2"] / x["vocabulary_params"] ** p["alpha_v"] - p["E"]


def _routed(p, x):
    seen = 1 / (1 / (x["experts"] - 1 + 1 / (1 / p["E_s"] - 1 / p["E_m"])) + 1 / p["E_m"])
    n, e = np.log10(x["params"]), np.log10(seen)
    return 10 ** (p["a"] * n + p["b"] * e + p["c"] * n * e + p["d"])


_REPEATED = grid(**SIZES, unique_tokens=(1e8, 1e10, 4))
_STEPS = grid(steps=(100, 1e5, 25))
_ALL = [
    Example(
        FORMS["chinchilla"],
        grid(**SIZES),
        (-1.6, -1.2, -0.6, -1.1, 0.1),
        _chinchilla,
        ("alpha", "beta"),
    ),
    Example(
        FORMS["over-training"], grid(**SIZES), (-1.6, -1.2, -0.6, -1.2), _over_training, ("h",)
    ),
    Example(
        FORMS["coupled"],
        grid(**SIZES),
        (-1.6, -1.2, -0.6, -1.1, 0.1, -0.4),
        _coupled,
        ("a", "b", "g"),
    ),
    Example(FORMS["kaplan"], grid(**SIZES), (-0.2, -0.4, -2.4, -0.3), _kaplan, ("aN", "aD")),
    Example(
        FORMS["data-constrained"],
        _REPEATED,
        (-1.6, -1.2, -0.6, -1.1, 0.1, 2.7, 1.7),
        _data_constrained,
        ("alpha", "beta", "R_D*", "R_N*"),
    ),
    Example(
        FORMS["vocabulary"],
        grid(params=(3e7, 1e9, 5), vocabulary_params=(2e6, 1e8, 6), tokens=(1e9, 1e11, 4)),
        (-1.0, -2.0, -1.0, 1.8, -0.8, -0.4),
        _vocabulary,
        ("alpha", "alpha_v"),
    ),
    Example(
        FORMS["routed"],
        grid(params=(1.5e7, 1.3e9, 5), experts=(1, 512, 10)),
        (0.0, -0.085, -0.03, 0.004, 0.7, 5.0),
        _routed,
        ("a", "b", "c", "E_s"),
    ),
    Example(
        FORMS["curve-exponential"],
        grid(steps=(100, 3e4, 25)),
        (0.5, -0.5, -0.5),
        lambda p, x: p["E"] + p["A"] * np.exp(-p["r"] * x["steps"]),
        ("r", "E"),
    ),
    Example(
        FORMS["curve-weibull"],
        _STEPS,
        (0.6, -0.5, -1.5, -0.7),
        lambda p, x: p["E"] + p["A"] * np.exp(-((x["steps"] / p["T"]) ** p["d"])),
        ("E", "d"),
    ),
    Example(
        FORMS["curve-hyperbolic"],
        _STEPS,
        (0.6, -0.5, -1.5, -0.7),
        lambda p, x: p["E"] + p["A"] / (1 + (x["steps"] / p["T"]) ** p["d"]),
        ("E", "d"),
    ),
    Example(
        FORMS["downstream"],
        grid(loss=(2.4, 4.5, 15)),
        (1.3, -1.0, 0.9),
        lambda p, x: p["eps"] - p["k"] * np.exp(-p["gamma"] * x["loss"]),
        ("gamma", "eps"),
    ),
    *(
        Example(FORMS[name], grid(**{column: axis}), (-1.2, -0.5, -1.0), _power(column), ("alpha",))
        for name, column, axis in (
            ("power-params", "params", (1e6, 1e9, 12)),
            ("power-tokens", "tokens", (1e8, 1e11, 12)),
            ("power-compute", "flops", (1e15, 1e20, 12)),
            ("ensemble", "members", (1, 8, 8)),
            ("curve-power", "steps", (100, 1e5, 25)),
        )
    ),
]
EXAMPLES = {example.form.name: example for example in _ALL}
