"""What a table of runs holds, in words."""

from __future__ import annotations

import io

from rich.console import Console

from windtunnel.laws.inspect import inspect_table
from windtunnel.laws.reading import table_from_columns
from windtunnel.report.inspection import print_inspection


def test_it_can_be_read_in_one_sitting() -> None:
    table = table_from_columns(
        {
            "run": ["[a]", "[a]", "b", "c"],
            "n_params": [1e8, 1e8, 4e8, 8e8],
            "tokens": [2e9, 4e9, 8e9, 8e11],
            "val_loss": [3.5, 3.2, 3.0, None],
        }
    )
    found = inspect_table(table, {"params": 7e9, "tokens": 8e9}).to_json()
    output = io.StringIO()
    print_inspection(found, "windtunnel laws fit [x].csv", Console(file=output, width=100))
    words = " ".join(output.getvalue().split())
    for said in (
        "table: 4 rows, 3 used (from 2 runs). Predicted: loss ('val_loss', nats).",
        "params 'n_params' (as it is): the heading says it",
        "flops derived: 6 x params x tokens",
        "params 100M 400M 2 0 7B 17.5 x",
        "tokens 2B 8B 3 0 8B inside",
        "x diverged 1 row (line 4): the loss is missing, no number, or far too high; left out",
        "! unannealed 1 row (line 1)",
        "+ chinchilla L = E + A / N^alpha",
        "Next: windtunnel laws fit [x].csv",
    ):
        assert said in words
    assert len(output.getvalue().splitlines()) < 40
