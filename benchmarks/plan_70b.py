"""How long `plan` takes, and how much memory, for a Llama of 70 billion parameters.

The target is the shape of Llama 3 70B, the base a model of width 1,024 and depth 8, and the plan
CompleteP's. Each run starts a new Python, which imports torch and transformers first; time and
peak memory are counted from there. The table is printed; --write also puts it into
benchmarks/results/plan_70b.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from typing import Any

from committed import footer, write

CONFIG = {
    "model_type": "llama",
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "intermediate_size": 28672,
    "vocab_size": 128256,
}
LIMIT_SECONDS = 5.0
LIMIT_BYTES = 1e9


def peak_bytes() -> int:
    """The most memory this process has had resident; Linux gives it in KiB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured() -> dict[str, Any]:
    """Plan once, in this process."""
    import torch
    import transformers
    import transformers.models.llama.modeling_llama

    import windtunnel
    from windtunnel.models.transformers_family import TransformersFamily
    from windtunnel.scale import Scale

    torch.nn.Linear(1, 1, device="meta")
    before = peak_bytes()
    began = time.perf_counter()
    plan = windtunnel.plan(
        TransformersFamily(transformers.LlamaConfig(**CONFIG)),
        Scale(1024, 8),
        Scale(8192, 80),
        "completep",
    )
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "bytes": peak_bytes() - before,
        "bytes_before": before,
        "parameters": len(plan.parameters),
        "values": sum(torch.Size(entry.shape).numel() for entry in plan),
    }


def summarised(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians and worst cases, and where they were measured."""
    return {
        "runs": len(runs),
        "median_seconds": statistics.median(run["seconds"] for run in runs),
        "most_seconds": max(run["seconds"] for run in runs),
        "most_bytes": max(run["bytes"] for run in runs),
        "limits": {"seconds": LIMIT_SECONDS, "bytes": LIMIT_BYTES},
        "measured": runs,
        "environment": {
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
            "cores": os.cpu_count(),
            **{name: version(name) for name in ("torch", "transformers")},
        },
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as a Markdown page."""
    run = summary["measured"][0]
    return "\n".join(
        [
            "# Planning a model of 70 billion parameters",
            "",
            f"A Llama of width 8,192 and depth 80 ({run['values'] / 1e9:.1f} billion values in "
            f"{run['parameters']} parameters) from width 1,024 and depth 8, CompleteP, "
            f"{summary['runs']} runs.",
            "",
            "| | measured | limit |",
            "|---|---|---|",
            f"| seconds, median | {summary['median_seconds']:.2f} | {LIMIT_SECONDS:g} |",
            f"| seconds, most | {summary['most_seconds']:.2f} | {LIMIT_SECONDS:g} |",
            f"| memory above the imports, MB, most | {summary['most_bytes'] / 1e6:.0f} | "
            f"{LIMIT_BYTES / 1e6:.0f} |",
            *footer("plan_70b", summary["environment"]),
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--once", action="store_true", help="measure here and print JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measured()))
        return
    runs = []
    for _ in range(options.runs):
        once = [sys.executable, __file__, "--once"]
        output = subprocess.run(once, check=True, capture_output=True, text=True).stdout
        runs.append(json.loads(output.splitlines()[-1]))
    summary = summarised(runs)
    page = table(summary)
    print(page)
    if options.write:
        write("plan_70b", summary, page)


if __name__ == "__main__":
    main()
