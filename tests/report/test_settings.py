from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from windtunnel.report.settings import print_differences, print_settings

ABOUT = {
    "rule": "mup",
    "optimizer": "adamw",
    "base": {"width": 64, "depth": 2},
    "target": {"width": 256, "depth": 4},
}


def printed(show) -> list[str]:
    out = io.StringIO()
    show(Console(file=out, width=110))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def difference(name: str, **quantities: tuple[float | None, float | None, float | None]) -> Any:
    values = {"lr": (0.01, 0.01, 0.0), "weight_decay": (None, None, 0.0), "eps": (None, None, 0.0)}
    return {"name": name, "count": 2, "role": "hidden"} | {
        key: dict(zip(("present", "planned", "octaves"), value, strict=True))
        for key, value in (values | quantities).items()
    }


def test_settings_are_values_and_not_factors() -> None:
    row = {
        "name": "blocks.*.up[0]",
        "role": "hidden",
        "shape": [192, 64],
        "init_std": 0.0625,
        "lr": 0.0025,
        "weight_decay": 0.0,
        "eps": 1e-9,
    }
    lines = printed(lambda c: print_settings({**ABOUT, "parameters": [row]}, c))
    assert lines[0].startswith("Rule mup, optimizer adamw: from width 64, depth 2 to width 256")
    last = lines[-1].split()
    assert last[:5] == ["blocks.*.up[0]", "hidden", "192", "x", "64"]
    assert last[5:8] == ["0.0625", "0.0025", "0"]


def compared(*rows: Any) -> list[str]:
    at_base = {"lr": 0.01, "weight_decay": None, "eps": 1e-8}
    comparison = {**ABOUT, "base_values": at_base, "compared": 9, "differences": rows}
    return printed(lambda c: print_differences(comparison, c))


def test_differences_keep_their_order_and_say_only_what_differs() -> None:
    lines = compared(
        difference("blocks.*.up[0]", lr=(0.01, 0.0025, 2.0), eps=(1e-8, 2e-8, -1.0)),
        difference("down", weight_decay=(0.2, 0.1, 1.0)),
    )
    assert lines[0].endswith("to width 256, depth 4. At base: rate 0.01, epsilon 1e-08.")
    assert lines[1:] == [
        "4 of 9 parameters are set otherwise:",
        "  blocks.*.up[0] (hidden): rate 0.01, 4 times the planned 0.0025; epsilon 1e-08, 1/2 of "
        "the planned 2e-08",
        "  down (hidden): decay 0.2, 2 times the planned 0.1",
    ]


def test_a_decay_or_rate_of_zero_has_no_ratio() -> None:
    lines = compared(difference("up", lr=(0.0, 0.1, None), weight_decay=(0.1, 0.0, None)))
    assert lines[-1] == "  up (hidden): rate 0, planned 0.1; decay 0.1, planned 0"


def test_nothing_different_is_said_in_words() -> None:
    comparison = {
        **ABOUT,
        "base_values": {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-8},
        "compared": 9,
        "differences": [],
    }
    lines = printed(lambda c: print_differences(comparison, c))
    assert lines[-1] == "All 9 parameters are set as the plan says."
