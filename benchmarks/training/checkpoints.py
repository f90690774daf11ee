"""What a checkpoint costs a run: written while training stands still, or by a thread beside it.

A GPT of some 25 million parameters trains under AdamW on one thread. Blocks of steps without a
checkpoint, with one that is waited for, and with one written in the background take turns; the
cost of a checkpoint is what its block takes longer than the one without, and of that the part for
which training stood still. Files are on this machine's disk, flushed and checksummed.

    python benchmarks/training/checkpoints.py --write    # about 5 minutes of two cores
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from committed import environment, footer, write

from windtunnel.models.gpt import GPTFamily
from windtunnel.scale import Scale
from windtunnel.training.checkpoint import FileCheckpoints, Progress
from windtunnel.training.ranks import Ranks
from windtunnel.training.sharded_checkpoint import ShardedCheckpoints

WAYS = ("none", "one file", "in parts, waited for", "in parts, in the background")


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds of each block, and those for which training stood still."""
    torch.set_num_threads(1)
    family = GPTFamily(vocabulary_size=4096, head_size=32)
    model = family.build(Scale(512, 5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(4096, (1, 65))
    alone = Ranks(torch.device("cpu"))

    def step() -> None:
        family.loss(model, (tokens[:, :-1], tokens[:, 1:])).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    began = time.perf_counter()
    step()
    steps = max(3, round(seconds / (time.perf_counter() - began)))
    blocks: dict[str, list[float]] = {way: [] for way in WAYS}
    still: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ways: dict[str, Any] = {
            "one file": FileCheckpoints(folder / "file"),
            "in parts, waited for": ShardedCheckpoints(folder / "parts", alone, asynchronous=False),
            "in parts, in the background": ShardedCheckpoints(folder / "beside", alone),
        }
        for number in range(rounds + 1):
            for way in WAYS:
                stood = ways[way].seconds if way in ways else 0.0
                began = time.perf_counter()
                for taken in range(steps):
                    step()
                    if way in ways:
                        if taken == 0:
                            progress = Progress("k", number, 0.0, True, {})
                            ways[way].save(progress, model, optimizer)
                        ways[way].tend()
                if number:  # the first only warms up
                    blocks[way].append(time.perf_counter() - began)
                    still[way].append((ways[way].seconds - stood) if way in ways else 0.0)
                if way in ways:
                    ways[way].finish()
        size = sum(file.stat().st_size for file in (folder / "file").iterdir()) / 2
    plain = statistics.median(blocks["none"])
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "megabytes": size / 1e6,
        "steps_in_a_block": steps,
        "block_seconds": plain,
        "rounds": rounds,
        "costs": {
            way: {
                "seconds": statistics.median(blocks[way]) - plain,
                "stands_still": statistics.median(still[way]),
            }
            for way in WAYS[1:]
        },
        "environment": environment(),
    }


def page(found: dict[str, Any]) -> str:
    """The result as a Markdown page."""
    return "\n".join(
        [
            "# What a checkpoint costs",
            "",
            f"{found['parameters'] / 1e6:.1f} million parameters with AdamW's state, "
            f"{found['megabytes']:.0f} MB; medians of {found['rounds']} blocks of "
            f"{found['steps_in_a_block']} steps, {found['block_seconds']:.1f} s without a "
            "checkpoint.",
            "",
            "| written | a run takes longer by, s | training stands still for, s |",
            "|---|---|---|",
            *(
                f"| {way} | {cost['seconds']:.2f} | {cost['stands_still']:.2f} |"
                for way, cost in found["costs"].items()
            ),
            *footer("training/checkpoints", found["environment"]),
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a block")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found = measure(options.rounds, options.seconds)
    print(page(found))
    if options.write:
        write("training_checkpoints", found, page(found))


if __name__ == "__main__":
    main()
