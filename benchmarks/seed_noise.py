"""How far one run's loss lies from another seed's, by width and length, as in the quickstart.

Every width and length is trained with several seeds at one learning rate, two runs side by side.
The law's fit leans on two of its answers: runs of one length lie apart by much more when they are
short, and a seed that is lucky at one width is lucky at the next (common data order).

The table is printed; --write also puts it into benchmarks/results/seed_noise.{json,md}.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from committed import write

WIDTHS = (16, 32, 64)
LENGTHS = (240_640, 480_256, 960_512)  # tokens
LEARNING_RATE = 2.0**-6


def final_loss(job: tuple[int, int, int]) -> dict[str, Any]:
    """Train one width, length and seed; its validation loss."""
    import torch

    from windtunnel.data.batches import TokenBatches
    from windtunnel.data.cache import default_cache
    from windtunnel.data.corpus import open_corpus
    from windtunnel.models import build_family
    from windtunnel.scale import DataIdentity, Recipe, Run, Scale
    from windtunnel.spec import DataSpec
    from windtunnel.training.loop import train

    torch.set_num_threads(1)
    width, units, seed = job
    data = DataSpec(source="stdlib", sequence_length=64)
    corpus = open_corpus(data, default_cache())
    family = build_family("gpt", {"head_size": 8}, vocabulary_size=256, sequence_length=64)
    run = Run(
        family="gpt",
        family_options=tuple(sorted(family.options().items())),
        optimizer="adamw",
        rule="mup",
        base=Scale(width=32, depth=2, units=LENGTHS[-1]),
        scale=Scale(width=width, depth=2, units=units),
        recipe=Recipe(lr=LEARNING_RATE, batch_units=1024),
        data=DataIdentity(corpus.content_hash, 64, 768),
        init_seed=1000 * seed,
        data_seed=1000 * seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            run, family=family, batches=TokenBatches(corpus, 64), folder=Path(folder), device="cpu"
        )
    assert result is not None, "nothing stops this run"
    return {"width": width, "units": units, "seed": seed, "loss": result.loss}


def table(rows: list[dict[str, Any]]) -> str:
    """Spread between seeds by width and length, and how much of it widths share."""
    lines = [
        "| length (tokens) | " + " | ".join(f"width {width}" for width in WIDTHS) + " | shared |",
        "|" + "---|" * (len(WIDTHS) + 2),
    ]
    for units in LENGTHS:
        logs = np.array(
            [
                [np.log(row["loss"]) for row in rows if (row["width"], row["units"]) == (w, units)]
                for w in WIDTHS
            ]
        )
        spreads = [100 * statistics.stdev(row) for row in logs]
        shared = float(np.corrcoef(logs)[np.triu_indices(len(WIDTHS), 1)].mean())
        cells = " | ".join(f"{spread:.2f} %" for spread in spreads)
        lines.append(f"| {units:,} | {cells} | {shared:+.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Train every width, length and seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    jobs = [(w, u, s) for w in WIDTHS for u in LENGTHS for s in range(options.seeds)]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        rows = pool.map(final_loss, jobs, chunksize=1)
    text = (
        f"{datetime.now(UTC).isoformat(timespec='minutes')}; {platform.machine()}; "
        f"{options.seeds} seeds, gpt of depth 2, 1,024 tokens a step, lr 2^-6.\n\n"
        "Standard deviation of a run's log loss between seeds (of the weights and of the order of "
        "the data together); `shared` is the mean correlation of a seed's luck between widths.\n\n"
        f"{table(rows)}\n"
    )
    print(text)
    if options.write:
        write("seed_noise", rows, f"# Noise between seeds\n\n{text}", indent=1)


if __name__ == "__main__":
    main()
