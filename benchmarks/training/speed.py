"""Our loop beside nanoGPT's way of looping: the same model, machine and precision, in turns.

nanoGPT's loop (github.com/karpathy/nanoGPT, train.py, as described there) is written anew from
what it does: rows cut one by one from a memory map that is opened for each batch, the next batch
fetched after the forward pass, autocast, torch's default AdamW on a CPU (fused on a GPU only),
clipping, the loss read every tenth step. Blocks of steps of both take turns in one process, so
that other load meets both alike; ratios are of the medians over blocks.

Beside it: what autocast to bfloat16 gains here, and what share of a step fetching its data is.

    python benchmarks/training/speed.py --write    # about 10 minutes of one core
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from committed import environment, footer, write

from windtunnel.data.batches import TokenBatches
from windtunnel.data.corpus import Corpus
from windtunnel.models.gpt import GPTFamily
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.training.loop import train
from windtunnel.training.memory import keep_freed_memory

# Width, depth, tokens in a sequence, sequences in a batch.
CASES = ((64, 2, 64, 16), (128, 4, 128, 8), (256, 4, 256, 4))
BF16 = "avx512_bf16", "amx_bf16"


class EnoughError(Exception):
    """Ends the training once all rounds are measured."""


def family(width: int) -> GPTFamily:
    """Heads of 16 channels, or 32 from width 256 on."""
    return GPTFamily(vocabulary_size=256, head_size=16 if width < 256 else 32)


def subject(case: tuple[int, int, int, int], precision: str, tokens: Any) -> tuple[Run, Any]:
    """The run, and its batches."""
    width, depth, length, sequences = case
    scale = Scale(width, depth, 10**9)
    run = Run(
        family="gpt",
        family_options=(),
        optimizer="adamw",
        rule="mup",
        base=scale,
        scale=scale,
        recipe=Recipe(lr=1e-3, batch_units=sequences * length),
        data=DataIdentity("random", length, 32),
        precision=precision,
    )
    corpus = Corpus(tokens, tokens[:20_000], "random", 256, 1, "random bytes")
    return run, TokenBatches(corpus, length)


def as_nanogpt_loops(run: Run, path: Path) -> Iterator[None]:
    """One step at a time."""
    scale, length = run.scale, run.data.sequence_length
    sequences = run.recipe.batch_units // length
    torch.manual_seed(0)
    model = family(scale.width).build(scale)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=run.recipe.lr,
        betas=(0.9, 0.95),
    )
    precision: Any = contextlib.nullcontext()
    if run.precision == "bf16":
        precision = torch.autocast("cpu", dtype=torch.bfloat16)

    def fetched() -> tuple[torch.Tensor, torch.Tensor]:
        data = np.memmap(path, dtype=np.uint8, mode="r")
        places = torch.randint(len(data) - length, (sequences,)).tolist()
        rows = [
            [torch.from_numpy(data[i + s : i + s + length].astype(np.int64)) for i in places]
            for s in (0, 1)
        ]
        return torch.stack(rows[0]), torch.stack(rows[1])

    inputs, targets = fetched()
    step = 0
    while True:
        for group in optimizer.param_groups:
            group["lr"] = run.recipe.lr * min(1.0, (step + 1) / 100)
        with precision:
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
        inputs, targets = fetched()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 0:
            loss.item()
        step += 1
        yield


def alternate(run: Run, batches: Any, other: Iterator[None], steps: int, rounds: int) -> Any:
    """Seconds of a step of ours and of the other's, block by block; the first only warms up."""
    found: dict[str, list[float]] = {"ours": [], "other": []}
    began = 0.0

    def progress(step: int, total: int, loss: float) -> None:
        nonlocal began
        if step % steps:
            return
        found["ours"].append((time.perf_counter() - began) / steps)
        began = time.perf_counter()
        for _ in range(steps):
            next(other)
        found["other"].append((time.perf_counter() - began) / steps)
        if len(found["other"]) > rounds:
            raise EnoughError
        began = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(EnoughError):
        train(
            run,
            family=family(run.scale.width),
            batches=batches,
            folder=Path(folder),
            on_progress=progress,
            checkpoint_seconds=40.0,  # 20 are usual, and half of the time is the other's
        )
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def ours_again(run: Run, batches: Any) -> Iterator[None]:
    """Another run of our loop, a step at a time, in a thread-free way: its own steps by hand."""
    from windtunnel.training.checkpoint import FileCheckpoints
    from windtunnel.training.execution import Execution
    from windtunnel.training.ranks import Ranks
    from windtunnel.training.session import Session

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        session = Session(
            run,
            family(run.scale.width),
            batches,
            folder,
            1,
            Execution(),
            Ranks(torch.device("cpu")),
            FileCheckpoints(folder),
            (),
            time.perf_counter(),
        )
        while True:
            session._read([session._advance()])
            session.step += 1
            yield


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """All cases."""
    rows = []
    tokens = np.random.default_rng(0).integers(0, 256, size=2_000_000, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "tokens.bin"
        tokens.tofile(path)
        for case in CASES:
            # Without instructions for it bfloat16 takes ten times as long: one case is enough.
            lower = ("bf16",) if bf16() or case == CASES[0] else ()
            for precision in ("fp32", *lower):
                run, batches = subject(case, precision, tokens)
                other = as_nanogpt_loops(run, path)
                next(other)
                began = time.perf_counter()
                next(other)
                steps = max(2, min(200, round(seconds / (time.perf_counter() - began))))
                times = alternate(run, batches, other, steps, rounds)
                fetching = []
                for k in range(200):
                    began = time.perf_counter()
                    batches.training(k, 0, case[3])
                    fetching.append(time.perf_counter() - began)
                rows.append(
                    {
                        "width": case[0],
                        "depth": case[1],
                        "length": case[2],
                        "sequences": case[3],
                        "precision": precision,
                        "ours_ms": 1000 * times["ours"],
                        "nanogpt_ms": 1000 * times["other"],
                        "ratio": times["other"] / times["ours"],
                        "data_share": statistics.median(fetching) / times["ours"],
                        "steps_in_a_block": steps,
                    }
                )
                print(row(rows[-1]), flush=True)
            if lower:
                run, batches = subject(case, "fp32", tokens)
                other, _ = subject(case, "bf16", tokens)
                pair = alternate(run, batches, ours_again(other, batches), steps, rounds)
                rows[-1]["bf16_gain"] = pair["ours"] / pair["other"]
    return {"rounds": rounds, "rows": rows, "bf16_instructions": bf16(), **environment()}


def bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(name in flags for name in BF16)


def row(found: dict[str, Any]) -> str:
    """One case as a row of the table."""
    return (
        f"| {found['width']} | {found['depth']} | {found['sequences']} x {found['length']} | "
        f"{found['precision']} | {found['ours_ms']:.1f} | {found['nanogpt_ms']:.1f} | "
        f"{found['ratio']:.3f} | {100 * found['data_share']:.2f} % |"
    )


def page(summary: dict[str, Any]) -> str:
    """The summary as a Markdown page."""
    gains = [
        f"{found['bf16_gain']:.2f} at width {found['width']}"
        for found in summary["rows"]
        if "bf16_gain" in found
    ]
    where = {n: v for n, v in summary.items() if n not in ("rows", "rounds", "bf16_instructions")}
    has = "has" if summary["bf16_instructions"] else "has no"
    return "\n".join(
        [
            "# Our loop beside nanoGPT's way of looping",
            "",
            f"The same model and precision, one thread, medians of {summary['rounds']} blocks in "
            "turns. A ratio above 1: ours takes more tokens a second. Asked: 1.0; data at most 1 % "
            "of a step.",
            "",
            "| width | depth | batch | precision | ours, ms | nanoGPT's, ms | ratio | data |",
            "|---|---|---|---|---|---|---|---|",
            *(row(found) for found in summary["rows"]),
            "",
            f"bfloat16 over float32, tokens a second, both ours: {', '.join(gains)}. This CPU "
            f"{has} instructions for bfloat16; float32 is the default, so without them it isn't "
            "chosen.",
            *footer("training/speed", where),
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a block")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    summary = measure(options.rounds, options.seconds)
    print(page(summary))
    if options.write:
        write("training_speed", summary, page(summary))


if __name__ == "__main__":
    main()
