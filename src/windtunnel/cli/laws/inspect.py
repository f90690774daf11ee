"""`windtunnel laws inspect`."""

from __future__ import annotations

import shlex

from windtunnel.cli.laws.options import Columns, RunsPath, Target, Where, read_runs
from windtunnel.cli.output import AsJson, show


def inspect(
    runs: RunsPath,
    target: Target = None,
    columns: Columns = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Say which columns are taken for what, what they cover, and which rows stand out."""
    from windtunnel.laws.inspect import inspect_table
    from windtunnel.laws.quantity import parse_point
    from windtunnel.report.inspection import print_inspection

    point = None if target is None else parse_point(target)
    found = inspect_table(read_runs(runs, columns, where), point).to_json()
    if as_json:
        show(found, "", as_json)
        return
    chosen = [part for column in columns or [] for part in ("--columns", column)]
    rows = [] if where is None else ["--where", where]
    print_inspection(found, shlex.join(["windtunnel", "laws", "fit", str(runs), *chosen, *rows]))
