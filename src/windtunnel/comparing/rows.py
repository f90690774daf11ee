"""Finished runs from rows in memory, for programs that made them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from windtunnel.comparing.finished import FinishedRun, MethodRuns, Stage
from windtunnel.errors import WindtunnelError
from windtunnel.laws.table import Metric

_NEEDED = ("method", "scale", "units", "loss")
_SEEDS = ("data_seed", "init_seed")
_MEASURES = ("flops", "seconds", "params")
_OTHERS = ("state_bytes", "seed", "settings", "stage", "workload")
KEYS = (*_NEEDED, *_SEEDS, *_MEASURES, *_OTHERS)


def runs_from_rows(
    rows: Sequence[Mapping[str, Any]], *, unit: str, source: str = "rows"
) -> MethodRuns:
    """Make a table for `compare_methods` of rows, of which nothing is guessed.

    Args:
        rows: One a finished or diverged run. Needed: `method` (text), `scale` (value by size axis,
            the length apart), `units` (training length, above 0), `loss` (at the end, above 0;
            None, infinity or NaN for a diverged run), and `seed`, or `data_seed` and `init_seed`,
            which are then one seed together. May be left out or None: `flops` and `seconds` of
            the whole run, `params`, `state_bytes` of the optimizer, `settings` (value by
            hyperparameter), `stage` (final, tuning or spot check; by default final) and
            `workload` (text).
        unit: What `units` counts: tokens, images or steps.
        source: For messages.

    Raises:
        WindtunnelError: There is no row, a key is missing or not known, or a value is none of its
            kind; the message has the row.
    """
    if not rows:
        raise WindtunnelError(f"{source}: no run; give one row for each finished run")
    runs = tuple(_run(row, place, f"{source}, row {place}") for place, row in enumerate(rows, 1))
    return MethodRuns(source, runs, unit, Metric("loss", "loss", "nats"))


def _run(row: Mapping[str, Any], place: int, where: str) -> FinishedRun:
    given = {key: value for key, value in row.items() if value is not None}
    unknown = sorted(set(row) - set(KEYS))
    if unknown:
        raise WindtunnelError(f"{where}: no such key: {', '.join(unknown)}; {', '.join(KEYS)}")
    missing = [key for key in _NEEDED if key not in given and not (key == "loss" and key in row)]
    if missing:
        raise WindtunnelError(f"{where}: {', '.join(missing)} missing; every run needs it")
    stage = given.get("stage", "final")
    if stage not in get_args(Stage):
        raise WindtunnelError(
            f"{where}: '{stage}' is no stage; choose from {', '.join(get_args(Stage))}"
        )
    loss = _number(given.get("loss", math.inf), "loss", where)
    if not loss > 0 and not math.isnan(loss):
        raise WindtunnelError(f"{where}: loss is {loss:g}, and its log is needed; above 0 only")
    return FinishedRun(
        line=place,
        method=str(given["method"]),
        scale=_numbers(given["scale"], "scale", where),
        units=_above_zero(given["units"], "units", where),
        seed=_seed(given, where),
        loss=loss if math.isfinite(loss) else math.inf,
        settings=_numbers(given.get("settings", {}), "settings", where),
        stage=stage,
        state_bytes=_state_bytes(given.get("state_bytes"), where),
        workload=str(given.get("workload", "")),
        **{key: _above_zero(given[key], key, where) for key in _MEASURES if key in given},
    )


def _seed(given: Mapping[str, Any], where: str) -> str:
    if "seed" in given:
        return str(given["seed"])
    if not all(key in given for key in _SEEDS):
        raise WindtunnelError(
            f"{where}: no seed, and seeds pair the runs; give seed, or data_seed and init_seed"
        )
    return "/".join(str(given[key]) for key in _SEEDS)


def _state_bytes(value: Any, where: str) -> float | None:
    # SGD without momentum has no state: 0 is a size.
    return value if value is None or value == 0 else _above_zero(value, "state_bytes", where)


def _number(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WindtunnelError(f"{where}: {key} is {value!r}, which is no number")
    return float(value)


def _above_zero(value: Any, key: str, where: str) -> float:
    number = _number(value, key, where)
    if not 0 < number < math.inf:
        raise WindtunnelError(f"{where}: {key} is {number:g}; it has to be above 0 and finite")
    return number


def _numbers(value: Any, key: str, where: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise WindtunnelError(
            f"{where}: {key} is {value!r}; give values by name, as {{'width': 64}}"
        )
    return {str(name): _number(own, f"{key} {name}", where) for name, own in value.items()}
