"""Rules in words: the list of them, and one rule's table in powers that people can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_OPTIMIZERS = {
    "sgd": "SGD",
    "sign": "Adam and its kin",
    "relative": "Adafactor",
    "orthogonal": "Muon",
    "kronecker": "Shampoo, SOAP",
}
_COLUMNS = {
    "init": "Init",
    "multiplier": "Multiplier",
    "lr": "Rate",
    "weight_decay": "Decay",
    "eps": "Epsilon",
}
_KINDS = {"block": "+ in a block", "branch": "branch output"}
_LARGEST_DENOMINATOR = 12


def print_catalogue(catalogue: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the rules there are.

    Args:
        catalogue: `windtunnel.parametrization.catalogue.catalogue()`.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    for heading, key in (("Rules", "rules"), ("Recipe rules: batch and length", "recipe_rules")):
        console.print(Text(heading, style="bold"))
        for rule in catalogue[key]:
            console.print(Text.assemble("  ", (rule["name"], "bold"), f"  {rule['title']}"))
            for label in ("source", "status"):
                line = Text(f"{label}: {rule[label]}", style="dim")
                console.print(Padding(line, (0, 0, 0, 6)))
    console.print(Text("What one says: windtunnel rules NAME"))


def print_rule(rule: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what one rule says.

    Args:
        rule: `windtunnel.parametrization.catalogue.rule_table(...)`.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    console.print(Text(f"{rule['name']}: {rule['title']}", style="bold"))
    for label in ("source", "status"):
        console.print(Text(f"{label.title()}: {rule[label]}"), soft_wrap=True)
    if "powers" in rule:
        for axis, powers in rule["powers"].items():
            for quantity, power in powers.items():
                console.print(Text(f"  {quantity}: {axis}{_exponent(power)}"))
        return
    for geometries, rows in _alike(rule["geometries"]):
        names = ", ".join(f"{name} ({_OPTIMIZERS[name]})" for name in geometries)
        console.print(Text(f"\n{names}", style="bold"))
        console.print(_table(rows))
    if rule["attention"]:
        factor = product(rule["attention"])
        console.print(Text(f"\nAttention logits, where the size of heads grows: {factor}"))
    console.print(Text("\nIn the rule's own gauge, sizes over base's; a column left out is 1."))


def product(powers: Mapping[str, float]) -> str:
    """A product of powers: `fan_in^-1/2 depth^-1`, or `1` where there is none."""
    return " ".join(size + _exponent(power) for size, power in powers.items()) or "1"


def _exponent(power: float) -> str:
    if power == 1:
        return ""
    fraction = Fraction(power).limit_denominator(_LARGEST_DENOMINATOR)
    return f"^{fraction}" if abs(fraction - power) < 1e-9 else f"^{power:g}"


def _alike(
    geometries: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[tuple[list[str], Sequence[Mapping[str, Any]]]]:
    """Geometries that a rule treats alike, together."""
    found: list[tuple[list[str], Sequence[Mapping[str, Any]]]] = []
    for name, rows in geometries.items():
        same = next((names for names, others in found if others == rows), None)
        if same is None:
            found.append(([name], rows))
        else:
            same.append(name)
    return found


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = {key: title for key, title in _COLUMNS.items() if any(row[key] for row in rows)}
    for heading in ("Role", *shown.values()):
        table.add_column(heading, overflow="fold")
    for row in rows:
        # What is added to a role is left out where nothing is.
        if row["kind"] in _KINDS and not any(row[key] for key in shown):
            continue
        kind = _KINDS.get(row["kind"], row["kind"])
        table.add_row(*map(Text, (kind, *(product(row[key]) for key in shown))))
    return table
