"""Same model, same rule: are losses equal to those of `mup` 1.0.0 and `unit-scaling` 0.3.5?

And what may a model go through before it trains, there and here? Every cell of the table is run.
Install each package into a folder of its own below --oracles, without its dependencies:

    pip install --no-deps --target ORACLES/mup mup==1.0.0
    pip install --no-deps --target ORACLES/unit_scaling unit-scaling==0.3.5 einops docstring_parser

--write puts both into benchmarks/results/oracles.{json,md}.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from committed import machine, write
from oracle_equality import against_mup, against_unit_scaling
from oracle_models import MLP, Transformer
from oracle_sides import Mup, UnitScaling
from oracle_table import groups_of_eight_blocks, outcome, rows

from windtunnel.scale import Scale

ALPHAS = {
    "alpha_ffn_act": 2.0,
    "alpha_attn_softmax": 3.0,
    "alpha_res": 0.5,
    "alpha_res_attn_ratio": 2.0,
    "alpha_loss_softmax": 1.5,
}


def package(name: str, folder: Path | None) -> ModuleType | None:
    """The package, from the folder below `folder` or from where Python finds it; None if nowhere.

    Its folder joins the path: it may import what lies beside it.
    """
    if folder is not None:
        sys.path.append(str(folder / name))
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def equalities(mup: ModuleType | None, unit_scaling: ModuleType | None) -> list[dict[str, Any]]:
    """One row a comparison."""
    found = []
    if mup is not None:
        for kind in (MLP, Transformer):
            for optimizer in ("adamw", "sgd"):
                for dtype in (torch.float64, torch.float32):
                    found.append(against_mup(mup, kind, optimizer, dtype))
            found.append(against_mup(mup, kind, "adamw", same_epsilon=False))
            found[-1]["optimizer"] = "adamw, mup's own epsilon in both"
    if unit_scaling is not None:
        wide, deep = (Scale(32, 2), Scale(128, 2)), (Scale(32, 1), Scale(64, 4))
        cases: tuple[tuple[tuple[Scale, Scale], torch.dtype, dict[str, Any]], ...] = (
            (wide, torch.float64, {}),
            (wide, torch.float32, {}),
            (wide, torch.float64, ALPHAS),
            (deep, torch.float64, {}),
        )
        for scales, dtype, options in cases:
            found.append(against_unit_scaling(unit_scaling, *scales, dtype, **options))
    return found


def report(equal: list[dict[str, Any]], table: dict[str, list[str]]) -> str:
    """Both as Markdown."""
    lines = [
        "| package | model | optimizer | dtype | loss, first to last of 20 steps | "
        "largest relative difference of a loss |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['peer']} | {row['model']} | {row['optimizer']} | {row['dtype']} | "
        f"{row['first']:.4f} to {row['last']:.4f} | {row['difference']:.1e} |"
        for row in equal
    ]
    lines += ["", "| | windtunnel | mup 1.0.0 | unit-scaling 0.3.5 |", "|---|---|---|---|"]
    lines += [
        f"| {name} | " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        for name, cells in table.items()
    ]
    return "\n".join(lines) + "\n"


NOTES = """Against mup: base width 32, target 128; weights are copied, and the readout's are divided
by the width ratio, since we move its multiplier into them; weight decay is on. mup leaves epsilon
as it is, we divide it by the width ratio, as gradients are: it is given ours but for the rows that
say otherwise. The ratio is a power of two, so that differences can be zero. Against unit-scaling:
the built-in family with `unit_scaled: true`, and the same model of the package's modules; its
rates, read at (width, depth) of base, are carried to the target by rule `u-mup`. It takes norms in
single precision, so that double agrees no better.

In the table a model is set up at width 64 for base 32 and goes through what the row says; where it
says train, `works` means that a training step follows, with the rate due to its hidden matrices.
"""


def main() -> None:
    """Compare, print, and write on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracles", type=Path, help="folder with folders mup and unit_scaling")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    mup, unit_scaling = (package(n, arguments.oracles) for n in ("mup", "unit_scaling"))
    equal = equalities(mup, unit_scaling)
    sides = (
        None if mup is None else Mup(mup),
        None if unit_scaling is None else UnitScaling(unit_scaling),
    )
    table = {name: [outcome(cell) for cell in cells] for name, cells in rows(*sides).items()}
    table["parameter groups for eight blocks"] = groups_of_eight_blocks(*sides)
    print(report(equal, table))
    if arguments.write:
        where = machine()
        content = {"machine": where, "equalities": equal, "table": table}
        head = f"# Oracles\n\n{NOTES}\nMachine: {where}.\n\n"
        write("oracles", content, head + report(equal, table))


if __name__ == "__main__":
    main()
