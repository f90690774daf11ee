"""Our update rules beside independent public implementations: equal, or why not; and how fast.

Torch's own, and two packages, each into a folder below --oracles without its dependencies:

    pip install --no-deps --target ORACLES pytorch_optimizer==4.1.0 adam-atan2-pytorch==0.4.1 einops
    python benchmarks/optimizers/oracles.py --oracles ORACLES --write    # a minute

Twenty steps in float64 on one 24 x 24 matrix (square, so that SOAP's first basis is one alone);
time is of a step on a 1,024 x 1,024 matrix in float32, medians of turns in one process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from committed import environment, footer, write

from windtunnel.optimizers import optimizer_method, optimizer_names
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer
from windtunnel.training.memory import keep_freed_memory

LR, DECAY, STEPS, SIDE = 0.01, 0.1, 20, 24
EQUAL = 1e-10
TURNS, TIMED = 7, 1024
# Of parameters, all square and of one size.
Build = Callable[[list[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Oracle:
    """An implementation that shares nothing with ours.

    Attributes:
        source: Whose it is.
        build: Makes it with our settings.
        settings: Ours that are not the default, so that both do the same.
        why: Why it differs, where it does.
    """

    source: str
    build: Build
    settings: dict[str, float]
    why: str = ""


def oracles() -> dict[str, Oracle]:
    """Every one that there is here, by our name."""
    found = {
        "adamw": Oracle(
            "torch.optim.AdamW",
            lambda p: torch.optim.AdamW(
                p, lr=LR, betas=(0.9, 0.95), eps=1e-8, weight_decay=DECAY, foreach=True
            ),
            {},
        ),
        "sgd": Oracle(
            "torch.optim.SGD",
            lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9, weight_decay=DECAY, foreach=True),
            {},
        ),
        "adafactor": Oracle(
            "torch.optim.Adafactor",
            lambda p: torch.optim.Adafactor(
                p, lr=LR, weight_decay=DECAY, eps=(1e-16, 1e-3), foreach=True
            ),
            {},
        ),
        "muon": Oracle(
            "torch.optim.Muon",
            lambda p: torch.optim.Muon(
                p, lr=LR, weight_decay=DECAY, eps=1e-8, adjust_lr_fn="match_rms_adamw"
            ),
            {},
            "torch iterates in bfloat16 whatever the parameter is; in that precision ours is equal "
            "to it up to one rounding (tests/optimizers/test_muon.py)",
        ),
    }
    return found | _of_packages()


def _of_packages() -> dict[str, Oracle]:
    import pytorch_optimizer
    from adam_atan2_pytorch import AdamAtan2

    theirs: Any = pytorch_optimizer
    return {
        "lion": Oracle(
            "pytorch_optimizer.Lion",
            lambda p: theirs.Lion(p, lr=LR, betas=(0.95, 0.98), weight_decay=DECAY),
            {},
        ),
        "adam-atan2": Oracle(
            "adam_atan2_pytorch.AdamAtan2",
            lambda p: AdamAtan2(p, lr=LR, betas=(0.9, 0.95), weight_decay=DECAY),
            {},
        ),
        "soap": Oracle(
            "pytorch_optimizer.SOAP",
            lambda p: theirs.SOAP(p, lr=LR, weight_decay=0.0),
            {"weight_decay": 0.0},
            "it factorises in float32 whatever the parameter is, so it is equal to that precision",
        ),
        "adamuon": Oracle(
            "pytorch_optimizer.AdaMuon",
            lambda p: theirs.AdaMuon([{"params": p, "use_muon": True}], lr=LR, weight_decay=DECAY),
            {},
            "it leaves out the sign of the momentum, which the authors' code takes before the "
            "iteration",
        ),
        "fira": Oracle(
            "pytorch_optimizer.Fira",
            lambda p: theirs.Fira(
                [
                    {
                        "params": p,
                        "rank": len(p[0]) // 4,
                        "update_proj_gap": 200,
                        "scale": 0.25,
                        "projection_type": "std",
                    }
                ],
                lr=LR,
                eps=1e-8,
            ),
            {"weight_decay": 0.0},
            "as in the authors' code, the part in the subspace is subtracted times 0.25; ours "
            "subtracts it whole, as in the paper",
        ),
    }


NONE = {
    "auon": "the authors' file is in no package index",
    "hybrid-auon": "the authors' file is in no package index",
    "dion": "microsoft/dion is in no package index",
    "frugal": "the authors' code is in no package index",
    "lion-huber": "no public implementation is known",
    "lion-l2": "no public implementation is known",
    "lion-nuclear": "no public implementation is known",
    "sophia-g": "public classes leave the drawn labels to their caller and differ in what they "
    "take",
    "sophia-h": "pytorch_optimizer's draws its own probes, from torch's global generator",
}


def ours(name: str, parameters: list[nn.Parameter], settings: dict[str, float]) -> Optimizer:
    """Our rule alone over the parameters."""
    rule = optimizer_method(name).rule
    assert rule is not None, "every method of the registry has one"
    own: dict[str, Any] = {"lr": LR, "weight_decay": DECAY, **settings}
    return RuleOptimizer(parameters, rule, **own)


def walked(build: Build, start: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Where the gradients lead."""
    parameter = nn.Parameter(start.clone())
    optimizer = build([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def difference(name: str, oracle: Oracle) -> float:
    """Largest difference after all steps, over the largest entry."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(SIDE, SIDE, generator=generator, dtype=torch.float64)
    gradients = torch.randn(STEPS, SIDE, SIDE, generator=generator, dtype=torch.float64)
    one = walked(lambda p: ours(name, p, oracle.settings), start, gradients)
    other = walked(oracle.build, start, gradients)
    return float((one - other).abs().max() / other.abs().max())


def time_ratio(name: str, oracle: Oracle) -> float:
    """Our time a step over theirs."""
    generator = torch.Generator().manual_seed(0)
    sides = []
    for build in (lambda p: ours(name, p, oracle.settings), oracle.build):
        parameter = nn.Parameter(torch.randn(TIMED, TIMED, generator=generator))
        parameter.grad = torch.randn(TIMED, TIMED, generator=generator)
        sides.append(build([parameter]))
    spent: list[list[float]] = [[], []]
    for turn in range(TURNS + 1):
        for side, optimizer in enumerate(sides):
            begun = time.perf_counter()
            for _ in range(3):
                optimizer.step()
            if turn:  # the first warms up
                spent[side].append(time.perf_counter() - begun)
    return statistics.median(spent[0]) / statistics.median(spent[1])


def main() -> None:
    """Compare all that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracles", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    sys.path.append(str(options.oracles))
    torch.set_num_threads(1)
    keep_freed_memory()  # as workers do, or both sides' times are those of page faults
    rows = []
    for name, oracle in oracles().items():
        far, ratio = difference(name, oracle), time_ratio(name, oracle)
        verdict = "equal" if far < EQUAL else f"differs: {oracle.why or 'UNEXPLAINED'}"
        rows.append(
            {
                "optimizer": name,
                "oracle": oracle.source,
                "difference": far,
                "verdict": verdict,
                "time_ratio": ratio,
            }
        )
        print(rows[-1], flush=True)
    left = [name for name in optimizer_names() if name not in {row["optimizer"] for row in rows}]
    lines = [
        "# Optimizers beside independent implementations",
        "",
        " ".join((__doc__ or "").split("\n\n")[3].split()),
        "",
        "| optimizer | beside | largest difference | verdict | our time over theirs |",
        "|---|---|---|---|---|",
        *(
            f"| {r['optimizer']} | {r['oracle']} | {r['difference']:.1e} | {r['verdict']} | "
            f"{r['time_ratio']:.2f} |"
            for r in rows
        ),
        "",
        "Without one that installs: " + "; ".join(f"{name}: {NONE[name]}" for name in left) + ".",
        *footer("optimizers/oracles", environment()),
    ]
    page = "\n".join(lines)
    print(page)
    if options.write:
        write("optimizer_oracles", {"rows": rows, "without": {n: NONE[n] for n in left}}, page)


if __name__ == "__main__":
    main()
