"""Which rows are fitted and which foretold, file by file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from windtunnel.laws.reading import read_table
from windtunnel.laws.table import RunTable
from windtunnel.laws.where import rows_where

DATA = Path(__file__).parents[3] / "shared" / "data"
CHINCHILLA, REDPAJAMA = "chinchilla_points.csv", "overtraining_redpajama.csv"
GEMSTONES, STEPLAW = "gemstones_width_depth.csv", "steplaw_dense_small.csv"
ISOFLOP, ROUTED = "isoflop_points.csv", "routed_last_checkpoint.csv"
# As the data's README names its settings.
ISOFLOP_SETTINGS = ("dataset", "hparams", "warmup", "decay", "param_count", "val")
FIVE_RUNS = "five runs"
MOST_SCALES = 12  # distinct sizes; more are joined octave by octave


@dataclass(frozen=True)
class Named:
    """A back-test that the data's README names.

    Attributes:
        name: As the table shows it.
        file: Of the shared data.
        where: Rows taken at all.
        fit: Rows fitted.
        predict: Rows foretold.
        published: Mean error in percent of the plain fit, as the README gives it.
        may_refuse: Whether `cannot say` is a right answer.
    """

    name: str
    file: str
    where: str | None
    fit: str
    predict: str
    published: float
    may_refuse: bool = False


_KEPT = "loss<3.44"  # the five highest losses dropped
_LARGE = "flops>=1e21"
NAMED = (
    Named("Chinchilla C<1e20", CHINCHILLA, _KEPT, "flops<1e20", _LARGE, 1.60),
    Named("Chinchilla C<3e19", CHINCHILLA, _KEPT, "flops<3e19", _LARGE, 1.95),
    Named("Chinchilla C<1e21", CHINCHILLA, _KEPT, "flops<1e21", _LARGE, 1.05),
    Named("Chinchilla N<5e8", CHINCHILLA, _KEPT, "params<5e8", "params>=5e8", 0.98),
    Named("Chinchilla N<1e9", CHINCHILLA, _KEPT, "params<1e9", "params>=1e9", 0.87),
    Named("Chinchilla C<1e19", CHINCHILLA, _KEPT, "flops<1e19", _LARGE, 5.87, may_refuse=True),
    Named(
        "RedPajama small to 1.4 B x 32",
        REDPAJAMA,
        None,
        "params<1e9",
        "params>1e9 and params<2e9 and multiplier>20",
        1.11,
    ),
    Named("RedPajama small to 7 B", REDPAJAMA, None, "params<1e9", "params>5e9", 3.02),
    Named(
        "RedPajama five runs to both",
        REDPAJAMA,
        None,
        FIVE_RUNS,
        "params>1e9 and multiplier!=1 or params>5e9",
        0.41,
    ),
    Named("Gemstones N<1B", GEMSTONES, None, "params<1e9", "params>1.5e9", 1.84),
)


@functools.cache
def table_of(file: str, where: str | None) -> RunTable:
    """A file of the shared data."""
    columns = {"params": "dense_parameter_count", "loss": "loss_validation"}
    return read_table(DATA / file, columns=columns if file == ROUTED else None, where=where)


def named_rows(test: Named) -> tuple[RunTable, RunTable]:
    """The rows fitted and the rows foretold."""
    table = table_of(test.file, test.where)
    if test.fit == FIVE_RUNS:
        params, multiplier = table.numbers["params"], table.numbers["multiplier"]
        small = np.unique(params)[:4]
        chosen = np.isin(params, small) & (
            (multiplier == 1) | ((params == small[0]) & (multiplier == 16))
        )
        large = ((params > 1e9) & (params < 2e9) & (multiplier > 20)) | (params > 5e9)
        return table.keep(chosen), table.keep(large)
    return table.keep(rows_where(table, test.fit)), table.keep(rows_where(table, test.predict))


def datasets() -> Iterator[tuple[str, RunTable]]:
    """Every file, the mixed ones setting by setting."""
    yield "Chinchilla", table_of(CHINCHILLA, _KEPT)
    yield "RedPajama", table_of(REDPAJAMA, None)
    yield "Gemstones", table_of(GEMSTONES, None)
    yield "Step Law", table_of(STEPLAW, None)
    routed = table_of(ROUTED, None)
    router = np.array(routed.labels["router_type"])
    for name in sorted(set(router) - {"Dense"}):
        yield f"routed {name}", routed.keep((router == name) | (router == "Dense"))
    for name, table in isoflop_settings():
        yield f"iso-FLOP {name}", table


def isoflop_settings() -> Iterator[tuple[str, RunTable]]:
    """The iso-FLOP file, setting by setting."""
    table = table_of(ISOFLOP, None)
    columns = [table.labels[name] for name in ISOFLOP_SETTINGS]
    settings = [" / ".join(row) for row in zip(*columns, strict=True)]
    for name in dict.fromkeys(settings):
        yield name, table.keep(np.array([one == name for one in settings]))


def scales(table: RunTable) -> list[np.ndarray]:
    """Masks of the rows of each scale, from small to large: sizes, or octaves of many sizes."""
    params = table.numbers["params"]
    if np.unique(params).size > MOST_SCALES:
        params = np.floor(np.log2(params / params.min()) + 1e-9)
    return [params == value for value in np.unique(params)]
