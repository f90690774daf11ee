"""Does the coordinate check tell right from wrong, whatever the seeds and the rate?

The built-in GPT on text from the standard library, in width (32, 64, 128; depth 2) and in depth
(4, 8, 16; width 32), in disjoint sets of three seeds. First under right rules and under rules
that are wrong along that axis; then, at the lowest rate, under right rules with one mistake
planted in the plan, where the module that is at fault has to be named first.
--write puts the tables into benchmarks/results/coordinate_check.{json,md}.
"""

from __future__ import annotations

import argparse
import argparse as module_with_text
import inspect
import multiprocessing
import runpy
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from committed import machine, write
from torch import Tensor

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.check import CoordinateCheck, check, check_plans
from windtunnel.parametrization.verdict import SMALLEST_MISTAKE, THRESHOLD
from windtunnel.scale import Scale

HERE = Path(__file__).parent
PLANTED = HERE.parent / "tests" / "parametrization" / "mistakes.py"
MISTAKES = runpy.run_path(str(PLANTED))["MISTAKES"]
TEXT = torch.tensor(list(inspect.getsource(module_with_text).encode()))
RATES = (0.003, 0.01)
SIZES = {"width": (32, 64, 128), "depth": (4, 8, 16)}
RULES = (
    ("width", "mup", "pass"),
    ("depth", "completep", "pass"),
    ("width", "sp", "fail"),
    ("depth", "mup", "fail"),
)


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """16 sequences of 64 bytes, chosen by the seed."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(TEXT) - 65, (16,), generator=generator)
    sequences = torch.stack([TEXT[start : start + 65] for start in starts.tolist()])
    return sequences[:, :-1], sequences[:, 1:]


def seeds(number: int) -> tuple[int, ...]:
    """The seeds of one set."""
    return tuple(range(3 * number, 3 * number + 3))


def check_rules(number: int) -> Iterable[dict[str, Any]]:
    """One row a rule, axis and rate."""
    for axis, rule, expected in RULES:
        for lr in RATES:
            sizes = {"widths": (), "depths": (), f"{axis}s": SIZES[axis]}
            began = time.process_time()
            found = check(
                GPTFamily(vocabulary_size=256),
                base=Scale(32, 2),
                batch=batch,
                lr=lr,
                rule=rule,
                seeds=seeds(number),
                **sizes,
            )
            about = {"axis": axis, "rule": rule, "lr": lr, "set": number, "expected": expected}
            yield about | _outcome(found, began)


def check_mistakes(number: int) -> Iterable[dict[str, Any]]:
    """One row a planted mistake."""
    for mistake in MISTAKES:
        family = mistake.family(vocabulary_size=256)
        plans = mistake.plans(family, SIZES[mistake.axis])
        began = time.process_time()
        found = check_plans(family, plans, batch=batch, lr=RATES[0], seeds=seeds(number))
        about = {"mistake": mistake.name, "axis": mistake.axis, "rule": mistake.rule, "set": number}
        named = found.modules[:1] == (mistake.module,)
        yield about | {"module": mistake.module, "named": named} | _outcome(found, began)


def check_set(task: tuple[str, int]) -> list[dict[str, Any]]:
    """All rows of one set of seeds: under `rules`, or with `mistakes` planted."""
    torch.set_num_threads(1)
    kind, number = task
    return list(check_rules(number) if kind == "rules" else check_mistakes(number))


def _outcome(found: CoordinateCheck, began: float) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "max_abs_slope": found.max_abs_slope,
        "reason": found.reason,
        "cpu_seconds": time.process_time() - began,
    }


def rule_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with one line a rule, axis and rate."""
    lines = [
        "| axis | rule | rate | verdicts | largest slope, min to max | CPU seconds a check |",
        "|---|---|---|---|---|---|",
    ]
    for (axis, rule, lr), found in _grouped(rows, "axis", "rule", "lr").items():
        verdicts = [row["verdict"] for row in found]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        slopes = [row["max_abs_slope"] for row in found]
        seconds = max(row["cpu_seconds"] for row in found)
        lines.append(
            f"| {axis} | {rule} | {lr} | {counts} | {min(slopes):.2f} to {max(slopes):.2f} | "
            f"{seconds:.1f} |"
        )
    return "\n".join(lines) + "\n"


def mistake_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with one line a planted mistake."""
    lines = [
        "| mistake | axis | otherwise | caught | named first | module |",
        "|---|---|---|---|---|---|",
    ]
    for (mistake, axis, rule, module), found in _grouped(
        rows, "mistake", "axis", "rule", "module"
    ).items():
        caught = sum(row["verdict"] == "fail" for row in found)
        named = sum(row["verdict"] == "fail" and row["named"] for row in found)
        of = len(found)
        lines.append(
            f"| {mistake} | {axis} | {rule} | {caught} of {of} | {named} of {of} | {module} |"
        )
    return "\n".join(lines) + "\n"


def _grouped(rows: list[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def commit(rules: list[dict[str, Any]], mistakes: list[dict[str, Any]]) -> None:
    """Put what there is into the results folder."""
    where = machine()
    content = {
        "machine": where,
        "threshold": THRESHOLD,
        "smallest_mistake": SMALLEST_MISTAKE,
        "rules": rules,
        "mistakes": mistakes,
    }
    text = f"# Coordinate check\n\n{(__doc__ or '').strip()}\n\nMachine: {where}.\n\n"
    text += f"## Rules\n\n{rule_table(rules)}\n## Planted mistakes\n\n{mistake_table(mistakes)}"
    write("coordinate_check", content, text)


def main() -> None:
    """Measure, print, and write on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--mistake-sets", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    # The longest first: a set of mistakes takes ten times as long as one of rules.
    tasks = [("mistakes", number) for number in range(arguments.mistake_sets)]
    tasks += [("rules", number) for number in range(arguments.sets)]
    found: dict[str, list[dict[str, Any]]] = {"rules": [], "mistakes": []}
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for (kind, _), rows in zip(tasks, pool.imap(check_set, tasks), strict=True):
            found[kind] += rows
    print(f"{rule_table(found['rules'])}\n{mistake_table(found['mistakes'])}")
    if arguments.write:
        commit(found["rules"], found["mistakes"])


if __name__ == "__main__":
    main()
