"""The metric's column: what sort of number it is, in which unit."""

from __future__ import annotations

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.given import Column, flag
from windtunnel.laws.reading.metric_columns import kind_and_unit
from windtunnel.laws.reading.raw import RawTable
from windtunnel.laws.solver import Array
from windtunnel.laws.table import Metric

_LARGEST_LOSS = 20.0  # nats or bits; half the rows above it are something else


def read_metric(
    raw: RawTable, column: Column, found: Numbers, values: Array
) -> tuple[Array, Metric, str, str]:
    """Turn a column into the metric.

    Perplexity becomes its logarithm, in nats; percentages become shares. Bits per byte and bits a
    token stay what they are.

    Args:
        raw: The table, for messages.
        column: The metric's column.
        found: Its cells as they were read.
        values: (n,) in plain units.

    Returns:
        The (n,) values, the metric, the unit that the file's numbers were taken in, and a note
        on what was done to them.

    Raises:
        WindtunnelError: The values do not fit what the heading says.
    """
    kind, unit = kind_and_unit(column.parsed)
    finite = values[np.isfinite(values)]
    heading = column.heading
    if unit == "perplexity":
        if (values <= 0).any():
            row = int((values <= 0).argmax())
            raise WindtunnelError(
                f"{raw.source}, {raw.place} {raw.lines[row]}, column '{heading}': a perplexity is "
                "above 0; mend or empty the cell"
            )
        return np.log(values), Metric(heading, "loss", "nats"), unit, "loss = ln(perplexity)"
    if unit == "share":
        return _share(values, finite, found, Metric(heading, kind, unit))
    if kind == "loss" and finite.size:
        if np.median(finite) > _LARGEST_LOSS:
            raise WindtunnelError(
                f"{raw.source}: column '{heading}' is {np.median(finite):g} in the middle, too "
                "much for a loss; say what it is, such as "
                f"{flag('loss', heading, 'perplexity')}, or choose another column"
            )
        if finite.max() < 0:
            raise WindtunnelError(
                f"{raw.source}: column '{heading}' is negative in every row; if it is a loss less "
                f"the unigram's, say {flag('loss', heading, 'normalised loss')}, else choose "
                "another column"
            )
    assumed = "" if column.parsed.unit or unit != "nats" else "taken as nats a token"
    return values, Metric(heading, kind, unit), unit, assumed


def _share(
    values: Array, finite: Array, found: Numbers, metric: Metric
) -> tuple[Array, Metric, str, str]:
    if "%" in found.units or not finite.size or finite.max() <= 1 or finite.max() > 100:
        return values, metric, "%" if "%" in found.units else "share of 1", ""
    return values / 100, metric, "%", f"values to {finite.max():g}, so taken as percent"
