"""Commands that decide with a law: what to train, which run to add, which method is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from windtunnel.cli.laws.options import (
    Columns,
    FitPath,
    RunsPath,
    Where,
    open_law,
    read_amount,
    read_number,
    read_runs,
)
from windtunnel.cli.output import AsJson, end_with, show
from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from windtunnel.laws.deciding.cost import CostModel
    from windtunnel.laws.deciding.device import Device
    from windtunnel.laws.law import Law
    from windtunnel.laws.table import RunTable


def plan(
    fit: FitPath,
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
    unique_tokens: Annotated[str | None, typer.Option(help="Tokens of text there are.")] = None,
    devices: Annotated[int | None, typer.Option(help="How many devices there are.")] = None,
    days: Annotated[float | None, typer.Option(help="How many days they may run.")] = None,
    as_json: AsJson = False,
) -> None:
    """What to train for a budget: size, tokens, loss, hours and money, with ranges."""
    from windtunnel.laws.deciding.budget import Budget
    from windtunnel.laws.deciding.device import device_named
    from windtunnel.laws.deciding.plan import plan as make_plan

    law = open_law(fit)
    device = None if gpu is None else device_named(gpu)
    found = make_plan(
        law,
        Budget.of(
            flops=read_amount("--flops", flops),
            gpu_hours=read_amount("--gpu-hours", gpu_hours),
            money=read_amount("--money", money),
        ),
        cost=_cost(law, device, mfu, rate),
        device=device,
        devices=devices,
        days=days,
        served_tokens=read_amount("--served-tokens", served_tokens),
        unique_tokens=read_amount("--unique-tokens", unique_tokens),
    )
    show(found.to_json(), "\n".join(found.sentences), as_json)
    end_with(found.verdict)


def next_(
    fit: FitPath,
    target: Annotated[
        str, typer.Option(metavar="POINT", help="What is forecast: params=7e9,tokens=2e12.")
    ],
    budget: Annotated[str, typer.Option(help="FLOPs to spend on runs at most: 1e20.")],
    as_json: AsJson = False,
) -> None:
    """Which runs to add so that the target's range narrows most for their compute."""
    from windtunnel.laws.deciding.next_run import next_runs
    from windtunnel.laws.quantity import parse_point

    found = next_runs(open_law(fit), parse_point(target), read_number("--budget", budget))
    show(found.to_json(), found.sentence, as_json)


def compare(
    runs: RunsPath,
    by: Annotated[str, typer.Option(help="Column that names the mix or the method.")],
    at: Annotated[
        str, typer.Option(metavar="POINT", help="Where to compare: params=7e9,tokens=2e12.")
    ],
    where: Where = None,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Which of two data mixes or methods is better at a target, and where they cross."""
    from windtunnel.laws.deciding.compare_runs import compare_runs
    from windtunnel.laws.fit_law import fit_law
    from windtunnel.laws.quantity import parse_point

    def fit(table: RunTable, form: str) -> Law:
        return fit_law(table, form=form, prior="auto", rows="auto", seed=0)

    found = compare_runs(read_runs(runs, columns, where), by, parse_point(at), fit=fit)
    show(
        {"by": by, "comparisons": [one.to_json() for one in found]},
        "\n".join(one.sentence for one in found),
        as_json,
    )
    if any(one.trust == "cannot say" for one in found):
        end_with("cannot say")


def _cost(
    law: Law, device: Device | None, mfu: float | None, rate: float | None
) -> CostModel | None:
    """From a named device, or else from the seconds that the runs behind the law took."""
    from windtunnel.laws.deciding.cost import assumed_cost, recorded_cost

    if device is not None:
        return assumed_cost(device, mfu=mfu, rate=rate)
    if mfu is not None:
        raise WindtunnelError("plan: --mfu is a share of some device's peak; give --gpu as well")
    return recorded_cost(law.summary, rate=rate)
