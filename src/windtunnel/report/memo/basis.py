"""What a memo takes for granted, and how to make it again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from windtunnel.laws.deciding.cost import DEFAULT_MFU, MFU_RANGE
from windtunnel.report.formatting import moment
from windtunnel.report.markup import Markup, tag
from windtunnel.report.memo.findings import Findings
from windtunnel.report.memo.sections import section


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a memo comes from.

    Attributes:
        command: The command line that makes it again.
        version: Windtunnel's.
        digest: SHA-256 of the table's file, in hexadecimal.
        made_at: ISO 8601.
    """

    command: str
    version: str
    digest: str
    made_at: str

    @staticmethod
    def now(table: Path, command: str, version: str) -> Origin:
        """Of a memo made now from a file."""
        digest = hashlib.sha256(table.read_bytes()).hexdigest()
        return Origin(command, version, digest, datetime.now(UTC).isoformat(timespec="seconds"))


def assumptions_section(found: Findings) -> Markup:
    """What is assumed and not measured."""
    said = [
        "Training takes 6 FLOPs a parameter and token; attention\u2019s share, which grows with "
        "the context, is not in it.",
        "The target is trained as the runs were: same data, same way of counting parameters, "
        "hyperparameters as well tuned, learning rate annealed to the end.",
        f"The metric is {found.table.metric.name}, read as {found.table.metric.kind} in "
        f"{found.table.metric.unit}.",
    ]
    question, cost = found.question, found.cost
    if cost is not None:
        said.append(f"GPU-hours: {cost.source}.")
    if question.device is not None and question.mfu is None:
        said.append(
            f"The range of the hours is that of a share of {MFU_RANGE[0]:g} to {MFU_RANGE[1]:g} of "
            f"the peak around {DEFAULT_MFU:g}; it is none of the law\u2019s."
        )
    if question.rate is not None:
        said.append(f"A GPU-hour costs {question.rate:g}, as given; it is not looked up.")
    if question.served_tokens is not None:
        said.append("Serving takes 2 FLOPs a parameter and token, at the price of training\u2019s.")
    return section("What is assumed", tag("ul", *(tag("li", each) for each in said)))


def origin_section(found: Findings, origin: Origin) -> Markup:
    """Command, version and hash."""
    pairs = (
        ("Command", tag("code", origin.command)),
        ("Windtunnel", origin.version),
        ("Table", f"{found.table.source}, {len(found.table):,} rows"),
        ("SHA-256", tag("code", origin.digest)),
        ("Made", moment(origin.made_at)),
    )
    terms = [part for word, what in pairs for part in (tag("dt", word), tag("dd", what))]
    return section("How to make it again", tag("dl", *terms))
