"""`windtunnel laws report`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from windtunnel.cli.laws.options import Columns, RunsPath, Where, read_amount, read_runs
from windtunnel.cli.output import end_with


def report(
    runs: RunsPath,
    target: Annotated[
        str, typer.Option(metavar="POINT", help="The run in mind: params=7e9,tokens=2e12.")
    ],
    out: Annotated[Path, typer.Option(metavar="MEMO.html", help="Where the memo goes.")],
    flops: Annotated[str | None, typer.Option(help="Training budget in FLOPs: 1e23.")] = None,
    gpu_hours: Annotated[str | None, typer.Option(help="Training budget in GPU-hours.")] = None,
    money: Annotated[
        str | None, typer.Option(help="Training budget in the money that --rate is in.")
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="Kind of device: h100, a100 ...; any other word lists them.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Price of one device for an hour.")] = None,
    mfu: Annotated[
        float | None, typer.Option(help="Share of the device's peak that training reaches.")
    ] = None,
    served_tokens: Annotated[
        str | None, typer.Option(help="Tokens to be read and written over the model's life.")
    ] = None,
    at_most: Annotated[
        float | None, typer.Option(help="A loss you need; the memo says how likely it is missed.")
    ] = None,
    where: Where = None,
    columns: Columns = None,
) -> None:
    """Write a memo on one page: what to train, for how much, how sure that is, and why."""
    from windtunnel import __version__
    from windtunnel.laws.deciding.budget import Budget
    from windtunnel.laws.deciding.device import device_named
    from windtunnel.laws.quantity import parse_point
    from windtunnel.report.memo.basis import Origin
    from windtunnel.report.memo.findings import Question, find
    from windtunnel.report.memo.lead import lead_sentences
    from windtunnel.report.memo.page import write_memo

    amounts = {
        "flops": read_amount("--flops", flops),
        "gpu_hours": read_amount("--gpu-hours", gpu_hours),
        "money": read_amount("--money", money),
    }
    found = find(
        read_runs(runs, columns, None),
        Question(
            target=parse_point(target),
            where=where,
            budget=Budget.of(**amounts) if any(amounts.values()) else None,
            device=None if gpu is None else device_named(gpu),
            mfu=mfu,
            rate=rate,
            served_tokens=read_amount("--served-tokens", served_tokens),
            at_most=at_most,
        ),
    )
    options = {
        "target": target,
        "flops": flops,
        "gpu-hours": gpu_hours,
        "money": money,
        "gpu": gpu,
        "rate": rate,
        "mfu": mfu,
        "served-tokens": served_tokens,
        "at-most": at_most,
        "where": where,
        "out": out,
    }
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    given += [f"--columns={each}" for each in columns or []]
    command = shlex.join(["windtunnel", "laws", "report", str(runs), *given])
    write_memo(found, Origin.now(runs, command, __version__), out)
    print(" ".join(lead_sentences(found)))
    print(f"\nThe memo is in {out}.")
    end_with(found.target.forecast.verdict)
