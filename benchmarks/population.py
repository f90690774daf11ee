"""Many runs stacked on one device beside the same runs one after the other.

Tokens a second in all, of our loop (`train`), of the same step as a CUDA graph (on a GPU) and of a
population, in blocks that take turns in one process; the ratios are those of medians. Beside them
stands the share of the device's matrix products, measured on large square ones, that is reached.

The table is printed; --out writes the numbers to a file, and --write puts them, or those of a file
measured elsewhere (--read), into benchmarks/results/population.{json,md}, where each device keeps
its own. It needs torch, NumPy, SciPy and safetensors, no study and no corpus:

    PYTHONPATH=src python benchmarks/population.py --device cuda --out population.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from committed import RESULTS, environment, footer, write
from population_subjects import Case, subject
from population_variants import Stepper, enough, loop_rate, seconds_for, variants, wait

from windtunnel.training.choose import choose
from windtunnel.training.device import usable_cores
from windtunnel.training.loop import train
from windtunnel.training.memory import keep_freed_memory
from windtunnel.training.population import Population

Result = TypeVar("Result")
GPU_CASES = (
    Case("gpt", 64, 64, 16, 64),
    Case("gpt", 128, 64, 16, 64),
    Case("gpt", 64, 64, 16, 64, "bf16"),
    Case("gpt", 128, 64, 16, 64, "bf16"),
)
CPU_CASES = (
    Case("mlp", 32, 64, 32, 1),
    Case("gpt", 32, 64, 1, 16),
    Case("gpt", 64, 16, 16, 64),
)


def disagreement(case: Case, device: torch.device, capture: bool) -> float:
    """Largest difference of a loss between members and their single runs, over 20 steps."""
    runs, family, batches = subject(case, steps=20)
    few = runs[:: max(1, len(runs) // 3)][:3]
    members = Population(few, family=family, batches=batches, device=str(device), capture=capture)
    members.train()
    worst = 0.0
    for run, losses in zip(few, members.losses(), strict=True):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            train(run, family=family, batches=batches, folder=place, device=str(device))
            lines = (place / "metrics.jsonl").read_text().splitlines()
        single = [json.loads(line)["loss"] for line in lines]
        worst = max(worst, *(abs(a - b) for a, b in zip(losses, single, strict=True)))
    return worst


def syncs(case: Case, device: torch.device) -> str:
    """Whether an eager step of a population makes the CPU wait for the GPU, in words."""
    runs, family, batches = subject(case)
    members = Population(runs[:4], family=family, batches=batches, device=str(device))
    members.advance()
    wait(device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        members.advance()
    except RuntimeError as error:
        return f"waits: {error}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "none"


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """FLOP/s of square matrix products, the best of ten."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(12):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        times.append(time.perf_counter() - began)
    return 2.0 * size**3 / min(times[2:])


def attempt(do: Callable[[], Result], failed: dict[str, str], name: str) -> Result | None:
    """What it gives; or None, and why is said in the result: the rest still counts."""
    try:
        return do()
    except Exception as error:
        failed[name] = "".join(traceback.format_exception(error))[-1500:]
        print(f"{name} failed: {error!r}", flush=True)
        return None


def measured(case: Case, device: torch.device, options: Any, matmul: float) -> dict[str, Any]:
    """One case: every variant's rate in turns, and their ratios."""
    ways = variants(case, device, update=not options.no_compile, forward=options.compile_forward)
    failed: dict[str, str] = {}
    built: dict[str, Stepper] = {}
    for name, build in ways.items():

        def ready(build: Callable[[], Stepper] = build) -> Stepper:
            steps = build()
            steps(2)
            return steps

        steps = attempt(ready, failed, name)
        if steps is not None:
            built[name] = steps
    counts = {name: enough(steps, options.seconds) for name, steps in built.items()}
    rates: dict[str, list[float]] = {name: [] for name in ("loop", *built)}
    for _ in range(options.rounds):
        rates["loop"].append(loop_rate(case, device, options.seconds))
        for name, steps in built.items():
            rates[name].append(counts[name] / seconds_for(steps, counts[name]))
    _, family, _ = subject(case)
    flops = family.flops_per_unit(subject(case)[0][0].scale, case.length)
    tokens = {
        name: statistics.median(values) * case.tokens * (case.members if "pop" in name else 1)
        for name, values in rates.items()
    }
    result = {
        "case": case.name,
        "members": case.members,
        "tokens_a_second": tokens,
        "over_loop": {name: value / tokens["loop"] for name, value in tokens.items()},
        "over_graph": {
            name: value / tokens["graph"] for name, value in tokens.items() if "graph" in tokens
        },
        "matmul_share": {name: value * flops / matmul for name, value in tokens.items()},
        "largest_difference_from_single": attempt(
            lambda: disagreement(case, device, device.type == "cuda"), failed, "disagreement"
        ),
        "chosen": attempt(lambda: chosen(case, device), failed, "choose"),
        "steps_a_second": rates,
        "failed": failed,
    }
    if device.type == "cuda":
        result["host_syncs_in_a_step"] = attempt(lambda: syncs(case, device), failed, "syncs")
    return result


def measure(device: torch.device, options: Any) -> dict[str, Any]:
    """All cases, for as long as the time lasts."""
    ends = time.monotonic() + options.minutes * 60
    on_gpu = device.type == "cuda"
    if not on_gpu:
        torch.set_num_threads(1)
        keep_freed_memory()
    size = 1024 if options.quick or not on_gpu else 8192
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if not on_gpu:
        del dtypes["bf16"]
    matmul = {name: matmul_rate(device, dtype, size) for name, dtype in dtypes.items()}
    name = torch.cuda.get_device_name(device) if on_gpu else "CPU, one thread"
    summary: dict[str, Any] = {
        "device": name,
        "cores": usable_cores(),
        "rounds": options.rounds,
        "matmul_flops": matmul,
        "fp32_products": torch.get_float32_matmul_precision(),
        "environment": environment(),
        "cases": [],
        "left_out": [],
    }
    for case in GPU_CASES if on_gpu else CPU_CASES:
        if time.monotonic() > ends:
            summary["left_out"].append(case.name)
            continue
        summary["cases"].append(measured(case, device, options, matmul[case.precision]))
        print("\n".join(rows(summary, summary["cases"][-1])), flush=True)
        if options.out:
            options.out.write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def rows(summary: dict[str, Any], case: dict[str, Any]) -> list[str]:
    """A case's rows of the table."""
    return [
        f"| {case['case']} | {case['members']} | {name} | {tokens:,.0f} "
        f"| {case['over_loop'][name]:.2f} | {over_graph(case, name)} "
        f"| {100 * case['matmul_share'][name]:.2f} % |"
        for name, tokens in case["tokens_a_second"].items()
    ]


def over_graph(case: dict[str, Any], name: str) -> str:
    """The ratio to the graph of one run, where there is one."""
    return f"{case['over_graph'][name]:.2f}" if name in case["over_graph"] else "-"


def chosen(case: Case, device: torch.device) -> str:
    """What `choose` makes of it, in words."""
    runs, family, batches = subject(case)
    processes = usable_cores() if device.type == "cpu" else 1
    choice = choose(runs, family=family, batches=batches, device=str(device), processes=processes)
    way = "one at a time" if choice.population is None else "a population"
    return f"{way} ({choice.reason})"


def page(summaries: dict[str, Any]) -> str:
    """Everything that is committed, as a Markdown page."""
    lines = [
        "# Many runs on one device",
        "",
        "Depth 2, AdamW, clipping at 1; `loop` is one run of `windtunnel.training.loop`, `graph` "
        "the same step as a CUDA graph, `population` all members at once (on a GPU as a CUDA "
        "graph). Tokens a second are those of all members together; medians of blocks in turns.",
    ]
    for name, summary in summaries.items():
        rates = ", ".join(f"{k} {v / 1e12:.2f}" for k, v in summary["matmul_flops"].items())
        lines += [
            "",
            f"## {name}",
            "",
            f"Square matrix products, TFLOP/s: {rates}. {summary['cores']} cores: so many "
            "processes of one thread are estimated at that many times the loop.",
            "",
            "| model, batch | members | variant | tokens/s | over loop | over graph | of matmul |",
            "|---|---|---|---|---|---|---|",
            *(row for case in summary["cases"] for row in rows(summary, case)),
            "",
        ]
        for case in summary["cases"]:
            difference = case["largest_difference_from_single"]
            syncs = case.get("host_syncs_in_a_step")
            waits = "" if syncs is None else f" Host syncs in a step: {syncs}."
            within = "not measured" if difference is None else f"within {difference:.1e}"
            way = case["chosen"]
            lines.append(
                f"- {case['case']}: losses {within} of single runs'.{waits} Chosen: {way}."
            )
            lines += [f"  - {name} failed." for name in case["failed"]]
        lines += footer("population", summary["environment"])[:-2]
    return "\n".join([*lines, *footer("population", {})[3:]])


def main() -> None:
    """Measure or read, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each variant")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a block")
    parser.add_argument("--minutes", type=float, default=2.0, help="no case starts later")
    parser.add_argument("--quick", action="store_true", help="one short block: does it run?")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--compile-forward", action="store_true", help="a minute more a case")
    parser.add_argument("--out", type=Path, help="file for the numbers")
    parser.add_argument("--read", type=Path, help="numbers of an earlier --out, instead of new")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.05
    if options.read:
        summary = json.loads(options.read.read_text())
    else:
        summary = measure(torch.device(options.device), options)
    if options.out and not options.read:
        options.out.write_text(json.dumps(summary, indent=2) + "\n")
    committed = RESULTS / "population.json"
    summaries = json.loads(committed.read_text()) if committed.exists() else {}
    summaries[summary["device"]] = summary
    print(page(summaries))
    if options.write:
        write("population", summaries, page(summaries))


if __name__ == "__main__":
    main()
