"""Rules for rows that no law should be fitted to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from windtunnel.laws.flags.flag import Mask
from windtunnel.laws.row_groups import row_groups, size_groups
from windtunnel.laws.table import RunTable

# Uniform guessing over the largest vocabularies in use, 256 thousand tokens, costs 12.5 nats.
_WORST_GUESS = {"nats": float(np.log(256e3)), "bits": float(np.log2(256e3)), "bits per byte": 8.0}
# Losses of one size and length stay within 1.2 of the best in Step Law's grids; runs that
# diverged lie at 2 and more.
_DIVERGED_RATIO = 1.5


def _incomplete(table: RunTable, _: Mask) -> Mask:
    """A size is empty, or nothing was trained yet."""
    wrong = np.zeros(len(table), dtype=bool)
    for name in ("params", "tokens", "flops"):
        values = table.numbers.get(name)
        if values is not None and not np.isnan(values).all():
            wrong |= ~(values > 0)
    return wrong


def _diverged(table: RunTable, keep: Mask) -> Mask:
    """The loss is no number, worse than guessing, or far above others of the same size."""
    loss = table.loss
    wrong = ~np.isfinite(loss)
    worst = _WORST_GUESS.get(table.metric.unit)
    if table.metric.kind != "loss" or worst is None:
        return wrong
    limit = np.full(len(table), worst)
    if "vocabulary" in table.numbers and table.metric.unit in ("nats", "bits"):
        guess = np.log(table.numbers["vocabulary"])
        guess = guess if table.metric.unit == "nats" else guess / np.log(2)
        limit = np.where(np.isfinite(guess), guess * 1.02, limit)
    wrong |= loss > limit
    usable = keep & ~wrong & (loss > 0)
    if not {"params", "tokens"} <= set(table.numbers):
        return wrong  # rows of unlike size or length have unlike losses
    group = size_groups(table)
    best = np.full(group.max(initial=-1) + 1, np.inf)
    np.minimum.at(best, group[usable], loss[usable])
    count = np.bincount(group[usable], minlength=best.size)
    return np.asarray(wrong | ((count[group] >= 3) & (loss > _DIVERGED_RATIO * best[group])))


def _impossible(table: RunTable, _: Mask) -> Mask:
    """The metric lies outside what its kind can be."""
    if table.metric.kind == "loss":
        return np.asarray(table.loss <= 0)
    if table.metric.kind in ("error", "accuracy"):
        return np.asarray((table.loss < 0) | (table.loss > 1))
    return np.zeros(len(table), dtype=bool)


def _duplicate(table: RunTable, keep: Mask) -> Mask:
    """Every cell is that of an earlier row."""
    places = np.flatnonzero(keep)
    _, first, counts = np.unique(table.loss[places], return_inverse=True, return_counts=True)
    suspects = places[counts[first] > 1]
    wrong = np.zeros(len(table), dtype=bool)
    if suspects.size:
        groups = row_groups(table.keep(np.isin(np.arange(len(table)), suspects)))
        _, firsts = np.unique(groups, return_index=True)
        repeated = np.ones(suspects.size, dtype=bool)
        repeated[firsts] = False
        wrong[suspects[repeated]] = True
    return wrong


DROPPING: tuple[tuple[str, Callable[[RunTable, Mask], Mask], str], ...] = (
    # First, so that a row counts once however often it is written.
    ("duplicate", _duplicate, "every cell repeats an earlier row's"),
    ("incomplete", _incomplete, "params, tokens or flops is empty or 0"),
    ("diverged", _diverged, "the loss is missing, no number, or far too high"),
    ("impossible", _impossible, "no such metric can take the value"),
)
