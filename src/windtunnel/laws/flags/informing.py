"""Rules that say what a reader should know of rows that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from windtunnel.laws.flags.flag import Flag, lines_of, many, rows_in_words
from windtunnel.laws.reading.compute import compute_ratio
from windtunnel.laws.row_groups import row_groups, setting_columns, size_groups
from windtunnel.laws.table import RunTable

_FEW_TOKENS = 10.0  # a parameter; compute-optimal training takes about 20 (Hoffmann et al. 2022)
_FAR_FLOPS = 3.0
_LEAST_GRID = 3  # values of a setting at one size, below which there is no edge to speak of


def _unannealed(table: RunTable) -> Iterator[Flag]:
    """Rows of one run at several lengths."""
    if "run" not in table.labels:
        return
    lengths = [name for name in ("tokens", "steps", "flops") if name in table.numbers]
    if not lengths:
        return
    length = table.numbers[lengths[0]]
    groups = table.groups()
    last = np.full(groups.max() + 1, -np.inf)
    np.maximum.at(last, groups, length)
    early = length < last[groups]
    if early.any():
        runs = np.unique(groups[early]).size
        yield Flag(
            "unannealed",
            lines_of(table, early),
            f"{rows_in_words(table, early)}: checkpoints before the end of {many(runs, 'run')}: "
            "their learning rate may not have come down yet; kept, and rows of a run stay together",
            dropped=False,
        )


def _under_trained(table: RunTable) -> Iterator[Flag]:
    """Far fewer tokens a parameter than most."""
    if not {"params", "tokens"} <= set(table.numbers):
        return
    few = table.numbers["tokens"] / table.numbers["params"] < _FEW_TOKENS
    if few.any() and few.mean() < 0.5:
        yield Flag(
            "under-trained",
            lines_of(table, few),
            f"{rows_in_words(table, few)}: fewer than {_FEW_TOKENS:g} tokens a parameter, where "
            "most have more; kept unless back-tests are better without",
            dropped=False,
        )


def _edge_of_grid(table: RunTable) -> Iterator[Flag]:
    """The best of a grid at its edge."""
    names = [name for name in ("lr", "batch_tokens", "weight_decay") if name in table.numbers]
    if not names:
        return
    group = size_groups(table)
    grids = np.bincount(group)[group] >= _LEAST_GRID
    if not grids.any():
        return
    table = table.keep(grids)
    group = np.unique(group[grids], return_inverse=True)[1]
    better = -table.loss if table.metric.kind == "accuracy" else table.loss
    order = np.lexsort((better, group))
    best = order[np.unique(group[order], return_index=True)[1]]
    for name in names:
        values = table.numbers[name]
        pairs = np.unique(np.stack([group, values]), axis=1)
        levels = np.bincount(pairs[0].astype(int)[~np.isnan(pairs[1])], minlength=best.size)
        low, high = np.full(best.size, np.inf), np.full(best.size, -np.inf)
        np.fmin.at(low, group, values)
        np.fmax.at(high, group, values)
        tried = levels >= _LEAST_GRID
        at_edge = tried & ((values[best] == low) | (values[best] == high))
        if at_edge.any():
            yield Flag(
                "edge-of-grid",
                lines_of(table, np.isin(np.arange(len(table)), best[at_edge])),
                f"the best {name} lies at the edge of what was tried in {at_edge.sum()} of "
                f"{many(int(tried.sum()), 'size')}: the optimum may be beyond; kept",
                dropped=False,
            )


def _inconsistent(table: RunTable) -> Iterator[Flag]:
    """FLOPs off 6 x params x tokens by another factor than the rest's."""
    if not {"params", "tokens", "flops"} <= set(table.numbers):
        return
    ratio = np.log(compute_ratio(table.numbers))
    odd = np.abs(ratio - np.median(ratio)) > np.log(_FAR_FLOPS)
    if odd.any():
        yield Flag(
            "inconsistent",
            lines_of(table, odd),
            f"{rows_in_words(table, odd)}: flops do not go with params x tokens as in the other "
            "rows; kept: look for a slip",
            dropped=False,
        )


def _constant(table: RunTable) -> Iterator[Flag]:
    """A column that never varies."""
    for name in ("params", "tokens", "flops", "loss"):
        values = table.numbers.get(name)
        if values is not None and len(table) > 1 and (values == values[0]).all():
            use = (
                "there is nothing to fit"
                if name == "loss"
                else "how it acts cannot be learnt from these rows"
            )
            words = f"{name} is {values[0]:.6g} in every row: {use}"
            yield Flag("constant", (), words, dropped=False)


def _mixed(table: RunTable) -> Iterator[Flag]:
    """A column of text that names a few settings."""
    for name in setting_columns(table):
        texts = table.labels[name]
        held = list(dict.fromkeys(texts))
        if len(held) < 2 or _follows_size(table, name):
            continue
        shown = ", ".join(held[:4]) + (", ..." if len(held) > 4 else "")
        yield Flag(
            "mixed",
            (),
            f"{name} takes {len(held)} values ({shown}); if it moves the {table.metric.kind}, fit "
            f'one at a time: --where "{name}=={held[0]}"',
            dropped=False,
        )


def _follows_size(table: RunTable, name: str) -> bool:
    """Whether a text is another name for the model's size: one for each, and each its own."""
    if "params" not in table.numbers:
        return False
    columns: tuple[list[str], ...] = ([name], ["params"], ["params", name])
    return len({int(row_groups(table, names).max()) for names in columns}) == 1


INFORMING: tuple[Callable[[RunTable], Iterator[Flag]], ...] = (
    _unannealed,
    _under_trained,
    _edge_of_grid,
    _inconsistent,
    _constant,
    _mixed,
)
