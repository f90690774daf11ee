"""Train what is due in a pool of processes; every finished run is a line in `runs.jsonl`."""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from settings import Setting
from sweeps import Cell, Job, Losses, due, family


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Every run that is finished; a line cut short by a stop is left out."""
    path = folder / "runs.jsonl"
    records = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


def losses(records: list[dict[str, Any]]) -> Losses:
    """Losses by treatment, log2 rate and seed."""
    return {
        (r["treatment"], r["log2_lr"], r["seed"]): math.inf if r["loss"] is None else r["loss"]
        for r in records
    }


def run_all(setting: Setting, cells: list[Cell], folder: Path, processes: int) -> None:
    """Train until nothing is due; stop it any time and start it again."""
    folder.mkdir(parents=True, exist_ok=True)
    records = read_records(folder)
    path = folder / "runs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    waiting: dict[Future[dict[str, Any]], Job] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool, path.open("a") as file:
        while True:
            left = list(due(setting, cells, losses(records)))
            begun = {job.key for job in waiting.values()}
            for job in [job for job in left if job.key not in begun][: processes - len(waiting)]:
                waiting[pool.submit(train_one, setting, job)] = job
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                job = waiting.pop(future)
                record = future.result()
                records.append(record)
                file.write(json.dumps(record) + "\n")
                file.flush()
                seconds = sum(setting.seconds(j.cell.arm, j.cell.scale) for j in left)
                print(
                    f"{time.strftime('%H:%M:%S')} {job.cell.arm.name} width {job.cell.scale.width} "
                    f"depth {job.cell.scale.depth} lr 2^{job.log2_lr} seed {job.seed}: "
                    f"{record['loss']} in {record['seconds']:.1f} s; {len(left) - 1} runs left, "
                    f"about {seconds / processes / 60:.0f} min",
                    flush=True,
                )


def train_one(setting: Setting, job: Job) -> dict[str, Any]:
    """Train one run in this process; its record."""
    from windtunnel.data.batches import TokenBatches
    from windtunnel.data.cache import default_cache
    from windtunnel.data.corpus import open_corpus
    from windtunnel.scale import DataIdentity, Run
    from windtunnel.spec import DataSpec
    from windtunnel.training.loop import train

    arm, scale, length = job.cell.arm, job.cell.scale, setting.sequence_length
    corpus = open_corpus(DataSpec(source="stdlib", sequence_length=length), default_cache())
    own = family(setting, arm)
    run = Run(
        family="gpt",
        family_options=tuple(sorted(own.options().items())),
        optimizer=arm.optimizer,
        rule=arm.rule,
        base=setting.base,
        scale=scale,
        recipe=setting.recipe(arm, job.log2_lr),
        data=DataIdentity(corpus.content_hash, length, setting.validation_sequences),
        init_seed=job.seed,
        data_seed=job.seed,
        precision=setting.precision,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            run,
            family=own,
            batches=TokenBatches(corpus, length),
            folder=Path(folder),
            device=setting.device,
        )
    assert result is not None, "nothing stops this run"
    return {
        "treatment": job.cell.treatment,
        "rule": arm.rule,
        "optimizer": arm.optimizer,
        "width": scale.width,
        "depth": scale.depth,
        "log2_lr": job.log2_lr,
        "seed": job.seed,
        "loss": result.loss,
        "seconds": result.seconds,
        "run": run.key,
        "machine": {name: result.environment[name] for name in ("device", "cpu", "torch")},
    }
