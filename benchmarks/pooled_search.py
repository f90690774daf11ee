"""A random search by two workers: runs trained at once where timing says so, against never.

Runs of a small GPT on synthetic text, through a study's own workers. Timed from the first claim
to the last result, so that timing the choice is in it and starting Python isn't.

    python benchmarks/pooled_search.py --write    (ten minutes on two cores)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import committed

from windtunnel.data.cache import default_cache
from windtunnel.data.corpus import open_corpus
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.executors.supervisor import Supervisor
from windtunnel.search.store import Store, study_database
from windtunnel.spec import load_study

WORKERS = 2
STEPS = 500
ROUNDS = 2

STUDY = """
family: {{name: gpt, options: {{head_size: 8}}}}
data: {{source: {source}, sequence_length: {length}, validation_sequences: 64}}
device: {device}
population: {population}
base: {{width: {width}, depth: 2, tokens: {tokens}}}
ladder: {{width: [{width}], depth: 2, tokens: [{tokens}]}}
target: {{width: 512, depth: 2, tokens: {tokens}}}
recipe: {{batch: {batch}}}
search: {{hyperparameters: {{lr: {{low: 0.001, high: 0.1}}}}}}
"""


class Subject(NamedTuple):
    """What is trained."""

    width: int
    sequences: int
    length: int
    runs: int

    @property
    def words(self) -> str:
        """For the table."""
        return f"gpt d={self.width}, {self.sequences} x {self.length}"


SUBJECTS = (Subject(32, 1, 16, runs=32), Subject(64, 2, 64, runs=16))


def measure(subject: Subject, population: str, device: str, text: Path) -> dict[str, Any]:
    """Search in a folder of its own.

    Returns:
        Seconds; how many runs were trained at once with others; their losses by number.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        batch = subject.sequences * subject.length
        (folder / "study.yaml").write_text(
            STUDY.format(
                source=text,
                length=subject.length,
                width=subject.width,
                tokens=STEPS * batch,
                batch=batch,
                population=population,
                device=device,
            )
        )
        store: Store[Run] = Store(study_database(folder), "study", Run.from_json)
        for number, run in enumerate(searched(subject, folder)):
            store.create(number, run, "search")
        with Supervisor(folder, store, [device] * WORKERS) as supervisor:
            while not store.progress():
                time.sleep(0.01)
            began = time.perf_counter()
            while any(not row.done for row in store.list()):
                supervisor.check()
                time.sleep(0.05)
            seconds = time.perf_counter() - began
        results = store.results()
        store.close()
    together = sum("population" in result["environment"] for result in results.values())
    losses = {number: result["loss"] for number, result in results.items()}
    return {"seconds": seconds, "together": together, "losses": losses}


def searched(subject: Subject, folder: Path) -> list[Run]:
    """Random learning rates and weight decays."""
    draw, data = random.Random(0), load_study(folder / "study.yaml").data
    batch = subject.sequences * subject.length
    scale = Scale(subject.width, 2, STEPS * batch)
    return [
        Run(
            family="gpt",
            family_options=(("head_size", 8),),
            optimizer="adamw",
            rule="mup",
            base=scale,
            scale=scale,
            recipe=Recipe(
                lr=10 ** draw.uniform(-3, -1),
                batch_units=batch,
                weight_decay=10 ** draw.uniform(-3, 0),
            ),
            data=DataIdentity(open_corpus(data, default_cache()).content_hash, subject.length, 64),
            init_seed=seed,
        )
        for seed in range(subject.runs)
    ]


def farthest(one: dict[int, Any], other: dict[int, Any]) -> float:
    """Largest relative difference of the losses of runs that finished in both."""
    pairs = [(one[number], other[number]) for number in one]
    return max(abs(a - b) / a for a, b in pairs if a is not None and b is not None)


def compared(subject: Subject, device: str, text: Path) -> dict[str, Any]:
    """Both ways in turns."""
    found: dict[str, list[dict[str, Any]]] = {"timed": [], "never": []}
    for _ in range(ROUNDS):
        for population, measured in found.items():
            measured.append(measure(subject, population, device, text))
            print(subject.words, population, f"{measured[-1]['seconds']:.1f} s", flush=True)
    seconds = {
        population: [one["seconds"] for one in measured] for population, measured in found.items()
    }
    pairs = zip(seconds["timed"], seconds["never"], strict=True)
    return {
        "subject": subject.words,
        "seconds": seconds,
        "together": [one["together"] for one in found["timed"]],
        "runs": subject.runs,
        "speed_up": [never / timed for timed, never in pairs],
        "farthest": farthest(found["timed"][0]["losses"], found["never"][0]["losses"]),
    }


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    where = committed.environment()
    with tempfile.TemporaryDirectory() as place:
        os.environ["WINDTUNNEL_CACHE"] = f"{place}/cache"
        text, draw = Path(place) / "text.jsonl", random.Random(0)
        documents = ["".join(draw.choices("abcdefgh ", k=1000)) for _ in range(400)]
        text.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
        rows = [compared(subject, options.device, text) for subject in SUBJECTS]
    lines = [
        "# A search whose runs are trained at once",
        "",
        f"Runs of {STEPS} steps by {WORKERS} workers of one thread on {options.device}, "
        f"from the first claim to the last result; {ROUNDS} rounds of both ways in turns. "
        "`timed` chooses by itself, `never` trains one run at a time in each worker.",
        "",
        "| model, batch | runs | never, s | timed, s | speed-up by round | of them trained at "
        "once, by round | losses within |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row['subject']} | {row['runs']} | {each(row['seconds']['never'], '.1f')} "
            f"| {each(row['seconds']['timed'], '.1f')} | {each(row['speed_up'], '.2f')} "
            f"| {each(row['together'], 'd')} | {row['farthest']:.1e} |"
            for row in rows
        ),
    ]
    page = "\n".join([*lines, *committed.footer("pooled_search", where)])
    print(page)
    if options.write:
        committed.write("pooled_search", {"rows": rows, **where}, page)


def each(values: Sequence[float], form: str) -> str:
    """Every value, written in that form."""
    return ", ".join(format(value, form) for value in values)


if __name__ == "__main__":
    main()
