"""Muon's time beside torch.optim.Muon's, and how near both come to the orthogonal factor.

Both sides in turns in one process, on the matrices of a transformer of width 512. Torch's iteration
is always in bfloat16: for a comparison at float32 its own function is kept from casting.

    OMP_NUM_THREADS=1 python benchmarks/optimizers/muon_speed.py --write
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import committed
import torch
from torch import Tensor, nn
from torch.optim import _muon

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.orthogonal import COEFFICIENTS, STEPS, orthogonalise
from windtunnel.scale import Recipe

WIDTH, LAYERS = 512, 3
SHAPES = LAYERS * [*4 * [(WIDTH, WIDTH)], (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)]
REPEATS = 5
EPS = 1e-7
TORCHS = _muon._zeropower_via_newtonschulz


class Uncast(Tensor):
    """A matrix that torch's function leaves in its own precision."""

    def bfloat16(self, *_: Any, **__: Any) -> Tensor:
        """A copy, since torch's function divides what it gets in place."""
        return self.as_subclass(Tensor).clone()


def theirs(matrix: Tensor) -> Tensor:
    """Torch's iteration, in the matrix' own precision."""
    return TORCHS(matrix.as_subclass(Uncast), COEFFICIENTS, STEPS, EPS).as_subclass(Tensor)


def ours(matrix: Tensor) -> Tensor:
    """Windtunnel's."""
    return orthogonalise(matrix, eps=EPS, dtype=matrix.dtype)


@contextmanager
def uncast() -> Iterator[None]:
    """Torch's Muon with its iteration in the gradients' precision."""
    _muon._zeropower_via_newtonschulz = lambda matrix, *_: theirs(matrix)
    try:
        yield
    finally:
        _muon._zeropower_via_newtonschulz = TORCHS


def seconds(run: Callable[[], object], device: str) -> float:
    """Of one call, the device's work included."""
    if device == "cuda":
        torch.cuda.synchronize()
    begun = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def compared(mine: Callable[[], object], other: Callable[[], object], device: str) -> Any:
    """Median milliseconds in turns, and the ratio of the medians."""
    mine(), other()
    times = [(seconds(mine, device), seconds(other, device)) for _ in range(REPEATS)]
    medians = [1000 * statistics.median(side) for side in zip(*times, strict=True)]
    return {"ours_ms": medians[0], "torch_ms": medians[1], "ratio": medians[0] / medians[1]}


def matrices(dtype: torch.dtype, device: str) -> list[Tensor]:
    """Gaussian ones; every second with rows that fall off, so that small singular values occur."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number, shape in enumerate(SHAPES):
        matrix = torch.randn(shape, generator=generator)
        if number % 2:
            matrix *= torch.logspace(0, -2, shape[0])[:, None]
        found.append(matrix.to(device, dtype))
    return found


def nearness(function: Callable[[Tensor], Tensor], given: list[Tensor]) -> dict[str, float]:
    """Mean cosine to the exact factor, and percentiles of all singular values."""
    cosines, values = [], []
    for matrix in given:
        left, _, right = torch.linalg.svd(matrix.double().cpu(), full_matrices=False)
        found = function(matrix).double().cpu()
        cosines.append(float(torch.cosine_similarity(found.flatten(), (left @ right).flatten(), 0)))
        values.append(torch.linalg.svdvals(found))
    together = torch.cat(values)
    return {
        "cosine": statistics.fmean(cosines),
        "least": float(together.min()),
        "five_percent": float(together.quantile(0.05)),
        "largest": float(together.max()),
    }


def steps(dtype: torch.dtype, device: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """One step of either optimizer over parameters of their own."""
    settings: dict[str, Any] = {"lr": 1e-3, "weight_decay": 0.1, "eps": EPS}
    sides = []
    for _ in range(2):
        parameters = [nn.Parameter(matrix) for matrix in matrices(dtype, device)]
        for parameter, gradient in zip(parameters, matrices(dtype, device), strict=True):
            parameter.grad = gradient
        sides.append(parameters)
    group = {"params": sides[0], "method": "muon", **settings}
    mine = optimizer_method("muon").build([group], Recipe(lr=1e-3, batch_units=1))
    other = torch.optim.Muon(sides[1], adjust_lr_fn="match_rms_adamw", **settings)
    return mine.step, other.step


def measured(device: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Times, and how near to orthogonal."""
    times, near = [], []
    for dtype in (torch.float32, torch.bfloat16):
        given, name = matrices(dtype, device), str(dtype).removeprefix("torch.")
        found = compared(
            lambda given=given: [ours(matrix) for matrix in given],
            lambda given=given: [theirs(matrix) for matrix in given],
            device,
        )
        times.append({"what": f"iteration in {name}", **found})
        for side, function in (("ours", ours), ("torch", theirs)):
            near.append({"side": side, "precision": name, **nearness(function, given)})
    if device == "cpu":
        with uncast():
            found = compared(*steps(torch.float32, device), device)
        times.append({"what": "step, float32, torch's iteration in float32 too", **found})
    found = compared(*steps(torch.float32, device), device)
    times.append({"what": "step as shipped, float32 parameters", **found})
    found = compared(*steps(torch.bfloat16, device), device)
    times.append({"what": "step as shipped, bfloat16 parameters", **found})
    return times, near


def page(times: list[dict[str, Any]], near: list[dict[str, Any]], where: Any) -> str:
    """What is committed."""
    count = sum(rows * columns for rows, columns in SHAPES)
    lines = [
        "# Muon's time beside torch.optim.Muon's",
        "",
        f"{count / 1e6:.1f} million parameters: {LAYERS} layers of width {WIDTH}, four square "
        f"matrices and two of 4 to 1 each. Medians of {REPEATS} in turns, one thread.",
        "",
        "| what | ours, ms | torch, ms | ratio |",
        "|---|---|---|---|",
        *(
            f"| {row['what']} | {row['ours_ms']:.1f} | {row['torch_ms']:.1f} | {row['ratio']:.2f} |"
            for row in times
        ),
        "",
        "As shipped with float32 parameters on a CPU, ours iterates in float32 and torch's in "
        "bfloat16; that row compares two precisions.",
        "",
        "Nearness to the exact orthogonal factor (singular value decomposition in float64); half "
        "of the matrices have rows that fall off to a hundredth.",
        "",
        "| side | precision | mean cosine | least singular value | 5 % | largest |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['side']} | {row['precision']} | {row['cosine']:.6f} | {row['least']:.4f} "
            f"| {row['five_percent']:.4f} | {row['largest']:.4f} |"
            for row in near
        ),
        *committed.footer("optimizers/muon_speed", where),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    times, near = measured(options.device)
    where = committed.environment()
    if options.device == "cuda":
        where["device"] = torch.cuda.get_device_name()
    text = page(times, near, where)
    print(text)
    if options.write:
        name = "muon_speed" if options.device == "cpu" else "muon_speed_cuda"
        committed.write(name, {"times": times, "nearness": near, "where": where}, text)


if __name__ == "__main__":
    main()
