"""How long `import windtunnel` and `windtunnel --help` take, beside `import torch`.

Each case starts a new Python; the cases take turns, so that other load on the machine meets all
alike. The table is printed; --write also puts it into benchmarks/results/startup.{json,md}.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from committed import footer, write

USE_ALL = "import windtunnel\nfor name in windtunnel.__all__: getattr(windtunnel, name)"
CASES = {
    "python": ["-c", "pass"],
    "import windtunnel": ["-c", "import windtunnel"],
    "import torch": ["-c", "import torch"],
    "import torch, windtunnel": ["-c", "import torch, windtunnel"],
    "import torch, windtunnel and use every name": ["-c", f"import torch\n{USE_ALL}"],
    "windtunnel --help": ["-c", "from windtunnel.cli import main; main()", "--help"],
}
LIMIT_ABOVE_TORCH = 0.3
LIMIT_HELP = 0.5


def seconds(arguments: list[str]) -> float:
    """Wall-clock time of one new Python."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(runs: int) -> dict[str, list[float]]:
    """Time every case `runs` times, in turns, after one unmeasured turn that fills the caches."""
    timings: dict[str, list[float]] = {case: [] for case in CASES}
    for turn in range(runs + 1):
        for case, arguments in CASES.items():
            taken = seconds(arguments)
            if turn:
                timings[case].append(taken)
    return timings


def installed(package: str) -> str | None:
    """The package's version, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The CPU's name, where the system tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def summarised(timings: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, what windtunnel adds to torch turn by turn, and where it was measured."""
    torch = timings["import torch"]
    added = {
        name: statistics.median(a - b for a, b in zip(timings[case], torch, strict=True))
        for name, case in (
            ("import", "import torch, windtunnel"),
            ("import and use every name", "import torch, windtunnel and use every name"),
        )
    }
    return {
        "runs": len(torch),
        "median_seconds": {case: statistics.median(values) for case, values in timings.items()},
        "seconds_above_torch": added,
        "limits": {"seconds_above_torch": LIMIT_ABOVE_TORCH, "windtunnel --help": LIMIT_HELP},
        "seconds": timings,
        "environment": {
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
            "processor": processor(),
            **{name: installed(name) for name in ("windtunnel", "torch", "typer", "rich")},
        },
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as a Markdown page."""
    medians, added, where = (
        summary[key] for key in ("median_seconds", "seconds_above_torch", "environment")
    )
    rows = [f"| {case} | {value:.3f} |" for case, value in medians.items()]
    rows += [
        f"| {name}, above torch (limit {LIMIT_ABOVE_TORCH} s) | {value:.3f} |"
        for name, value in added.items()
    ]
    return "\n".join(
        [
            "# Start-up times",
            "",
            f"Medians of {summary['runs']} runs each, the cases in turns; "
            f"`windtunnel --help` is to stay under {LIMIT_HELP} s.",
            "",
            "| case | seconds |",
            "|---|---|",
            *rows,
            *footer("startup", where),
        ]
    )


def main() -> None:
    """Measure, print and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    summary = summarised(measure(options.runs))
    page = table(summary)
    print(page)
    if options.write:
        write("startup", summary, page)


if __name__ == "__main__":
    main()
