"""What every benchmark commits: its numbers and its page, and the machine they come from."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write(name: str, content: Any, page: str, indent: int = 2) -> None:
    """Write `results/{name}.json` and `results/{name}.md`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=indent) + "\n")
    (RESULTS / f"{name}.md").write_text(page)


def read(path: Path) -> Any:
    """What was committed before."""
    return json.loads(path.read_text())


def environment() -> dict[str, Any]:
    """Where and when something that torch computes is timed."""
    import torch

    from windtunnel.training.device import usable_cores
    from windtunnel.training.environment import cpu_model

    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "load": os.getloadavg()[0],
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def machine() -> str:
    """Where something is computed whose time doesn't matter, in a few words."""
    import torch

    return f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"


def footer(script: str, where: Mapping[str, Any]) -> list[str]:
    """The last lines of a page: where it was measured, and how it is made again."""
    place = ", ".join(f"{name} {value}" for name, value in where.items())
    name = f"{script}.py" if (RESULTS.parent / f"{script}.py").exists() else script
    made = f"Made by `python benchmarks/{name} --write`."
    return ["", f"Measured on: {place}.", "", made, ""]
