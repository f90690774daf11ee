"""What a run is said to need of memory, beside what it is seen to take.

Each case trains two micro-batches in a process of its own on the CPU, whose highest resident size
less that before the model was built is what it takes: once with an allocator that gives freed
memory back at once, once with the C library's default.

    python benchmarks/training/memory.py --write    # about 5 minutes of one core
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from committed import footer, machine, write

from windtunnel.models.gpt import GPTFamily
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.training.memory_need import memory_need
from windtunnel.training.recompute import recompute_blocks_

# Width, depth, vocabulary, tokens in a sequence, sequences, recomputed.
CASES = (
    (256, 4, 2048, 256, 8, False),
    (512, 4, 4096, 256, 4, False),
    (1024, 2, 8192, 64, 4, False),
    (256, 8, 512, 512, 4, False),
    (256, 8, 512, 512, 4, True),
    (512, 6, 4096, 256, 4, True),
)
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
MEBIBYTE = 2**20


def family(case: tuple[Any, ...]) -> GPTFamily:
    """Heads of 32 channels."""
    return GPTFamily(vocabulary_size=case[2], head_size=32)


def resident(field: str) -> int:
    """Bytes that this process holds (`VmRSS`) or held at most (`VmHWM`)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{field}:")[2].split()[0])


def taken(case: tuple[Any, ...]) -> int:
    """Bytes that training the case takes; in a process that has trained something small before."""
    torch.set_num_threads(1)

    def train(width: int, depth: int, length: int, sequences: int) -> None:
        own = family(case)
        model = own.build(Scale(width, depth))
        if case[5]:
            recompute_blocks_(model, own.declarations)
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        tokens = torch.zeros(sequences, length, dtype=torch.long)
        for _ in range(2):
            for _ in range(2):
                own.loss(model, (tokens, tokens)).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    train(32, 1, 16, 1)
    before = resident("VmRSS")
    train(case[0], case[1], case[3], case[4])
    return resident("VmHWM") - before


def needed(case: tuple[Any, ...]) -> int:
    """Bytes that the run is said to need."""
    width, depth, _, length, sequences, recompute = case
    scale = Scale(width, depth, sequences * length)
    run = Run(
        family="gpt",
        family_options=(),
        optimizer="adamw",
        rule="mup",
        base=scale,
        scale=scale,
        recipe=Recipe(lr=1e-3, batch_units=sequences * length),
        data=DataIdentity("none", length, 8),
    )
    tokens = torch.zeros(sequences, length, dtype=torch.long)
    return memory_need(run, family(case), (tokens, tokens), recompute=recompute).total


def measure() -> list[dict[str, Any]]:
    """All cases."""
    rows = []
    for number, case in enumerate(CASES):
        found = {"case": case, "needed": needed(case)}
        for name, settings in (("gives_back", GIVES_BACK), ("default", {})):
            told = subprocess.run(
                [sys.executable, __file__, "--case", str(number)],
                env={**os.environ, **settings, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
            found[name] = json.loads(told.stdout)
        rows.append(found)
        print(row(found), flush=True)
    return rows


def row(found: dict[str, Any]) -> str:
    """One case as a row of the table."""
    width, depth, vocabulary, length, sequences, recompute = found["case"]
    need, back, default = (found[n] / MEBIBYTE for n in ("needed", "gives_back", "default"))
    return (
        f"| {width} | {depth} | {vocabulary} | {sequences} x {length} | "
        f"{'yes' if recompute else 'no'} | {need:.0f} | {back:.0f} | {need / back:.2f} | "
        f"{default:.0f} | {need / default:.2f} |"
    )


def page(rows: list[dict[str, Any]]) -> str:
    """The cases as a Markdown page."""
    return "\n".join(
        [
            "# What a run is said to need of memory, and what it takes",
            "",
            "Family gpt under AdamW in fp32 on a CPU, two micro-batches a step; MiB. The need is "
            "what is really in use; an allocator that keeps what is freed takes more.",
            "",
            "| width | depth | vocabulary | micro-batch | recomputed | need | taken, given back | "
            "need / taken | taken, default allocator | need / taken |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(row(found) for found in rows),
            *footer("training/memory", {"on": machine()}),
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=int, help="measure this one in this process")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(taken(CASES[options.case])))
        return
    rows = measure()
    if options.write:
        write("training_memory", rows, page(rows))


if __name__ == "__main__":
    main()
