"""Trials of an Optuna storage as a table of runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.jsonlines import as_cells
from windtunnel.laws.reading.raw import RawTable
from windtunnel.search.optuna_adapter.address import parse_address
from windtunnel.search.optuna_adapter.library import quiet_optuna


def read_trials(address: str) -> RawTable:
    """Read every trial: its parameters, user attributes, `loss` and `state`.

    Columns are called as parameters and attributes are; an attribute of a parameter's name is
    `user_attrs/NAME`. A trial that failed with the user attribute `outcome: diverged`, as
    Windtunnel exports such runs, has a loss of NaN.

    Args:
        address: `optuna:URL`, with `#NAME` where the storage holds several studies.

    Raises:
        WindtunnelError: Optuna is missing, or there is no such storage or study, or it is empty,
            has several objectives or is to be maximised.
    """
    url, wanted = parse_address(address)
    with quiet_optuna() as optuna:
        try:
            names = optuna.get_all_study_names(storage=url)
        except Exception as error:  # whatever a database driver raises
            reason = " ".join(str(error).split())[:200]
            raise WindtunnelError(f"{address}: cannot be read ({reason})") from error
        name = _chosen(names, wanted, address)
        study = optuna.load_study(study_name=name, storage=url)
        if [direction.name for direction in study.directions] != ["MINIMIZE"]:
            raise WindtunnelError(
                f"{address}: study '{name}' isn't one that minimises one value; export it as CSV "
                "with a column of the loss"
            )
        trials = study.get_trials(deepcopy=False)
    rows = [_row(trial) for trial in trials]
    if not rows:
        raise WindtunnelError(f"{address}: study '{name}' has no trial")
    headings = dict.fromkeys(heading for row in rows for heading in row)
    return RawTable(
        source=address,
        place="trial",
        lines=np.array([trial.number for trial in trials], dtype=np.int64),
        columns={heading: as_cells([row.get(heading) for row in rows]) for heading in headings},
    )


def _chosen(names: list[str], wanted: str | None, address: str) -> str:
    if wanted is not None and wanted in names:
        return wanted
    listed = ", ".join(f"'{name}'" for name in names[:8])
    if wanted is not None or not names:
        missing = f"no study '{wanted}'" if wanted is not None else "no study"
        raise WindtunnelError(
            f"{address}: there is {missing} in this storage"
            + (f"; there are {listed}" if names else "")
        )
    if len(names) > 1:
        raise WindtunnelError(
            f"{address}: the storage holds {len(names)} studies ({listed}); say which: "
            f"{address}#{names[0]}"
        )
    return names[0]


def _row(trial: Any) -> dict[str, Any]:
    row = dict(trial.params)
    for key, value in trial.user_attrs.items():
        row[f"user_attrs/{key}" if key in row else key] = value
    diverged = trial.user_attrs.get("outcome") == "diverged"
    row["loss"] = float("nan") if diverged else trial.values[0] if trial.values else None
    row["state"] = "diverged" if diverged else trial.state.name.lower()
    return row
