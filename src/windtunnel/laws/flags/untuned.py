"""Rows of a grid of hyperparameters that another setting of the same size beat."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.flags.flag import Flag, Mask, lines_of, rows_in_words
from windtunnel.laws.row_groups import row_groups, size_groups
from windtunnel.laws.table import RunTable

_TUNED = ("lr", "batch_tokens", "weight_decay")


def untuned(table: RunTable, keep: Mask) -> tuple[Mask, list[Flag]]:
    """Rows whose size was also run with hyperparameters that did better; repeats of those stay.

    Laws of the loss are laws of the tuned loss: a whole grid would teach them how badly one can
    tune. The best of many noisy runs lies a little below what the setting gives on average.

    Args:
        table: All rows.
        keep: (n,) those still kept.

    Returns:
        The (n,) rows found, and the flag if there are any.
    """
    found = np.zeros(len(table), dtype=bool)
    tuned = [name for name in _TUNED if name in table.numbers]
    places = np.flatnonzero(keep)
    if not tuned or not places.size:
        return found, []
    kept = table.keep(keep)
    sizes = size_groups(kept)
    settings = row_groups(kept, tuned)
    accuracy = kept.metric.kind == "accuracy"
    loss = -kept.loss if accuracy else kept.loss
    order = np.lexsort((loss, sizes))
    _, firsts = np.unique(sizes[order], return_index=True)
    best = settings[order[firsts]][sizes]
    found[places[settings != best]] = True
    if not found.any():
        return found, []
    sentence = (
        f"{rows_in_words(table, found)}: another {' and '.join(tuned)} did better at the same "
        "size; left out, the law is that of the best setting"
    )
    return found, [Flag("untuned", lines_of(table, found), sentence, dropped=True)]
