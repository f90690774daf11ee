"""Commands for those who carry a study's runs out themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from windtunnel.cli.output import AsJson, StudyPath, open_study, show
from windtunnel.errors import WindtunnelError


def ask(
    study: StudyPath,
    lease: Annotated[
        float, typer.Option(metavar="HOURS", min=0.001, help="Then the run is given to another.")
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Get the next run of a study, to carry it out yourself; `tell` takes what it reached."""
    from windtunnel.studies.asking import ask as ask_study

    answer = ask_study(open_study(study, trains=False), lease_seconds=3600 * lease)
    if answer["state"] != "run":
        show(answer, f"{answer['state']}: {answer['reason']}", as_json)
        return
    scale, recipe = answer["scale"], answer["recipe"]
    words = [
        f"Run {answer['ticket']} ({answer['purpose']}): width {scale['width']}, depth "
        f"{scale['depth']}, length {scale['units']:,}, lr {recipe['lr']:.6g}, weight decay "
        f"{recipe['weight_decay']:g}, seed {answer['init_seed']}",
        f"Then: windtunnel tell {study} {answer['ticket']} --loss ...",
    ]
    show(answer, "\n".join(words), as_json)


def tell(
    study: StudyPath,
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="As `ask` gave it.")],
    loss: Annotated[
        float | None, typer.Option(help="The study's metric at the end of the run.")
    ] = None,
    loss_se: Annotated[
        float | None, typer.Option(help="Its standard error over the validation set.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long the run took.")] = 0.0,
    diverged: Annotated[bool, typer.Option("--diverged", help="The loss was no number.")] = False,
    failed: Annotated[
        str | None, typer.Option(metavar="WHY", help="It could not be carried out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run reached that `ask` gave out."""
    from windtunnel.studies.asking import tell as tell_study

    if sum([loss is not None, diverged, failed is not None]) != 1:
        raise WindtunnelError("tell: give one of --loss, --diverged and --failed")
    said = tell_study(
        open_study(study, trains=False),
        ticket,
        loss=loss,
        loss_se=loss_se,
        seconds=seconds,
        failed=failed,
    )
    show({"ticket": ticket, "taken": True, "words": said}, said, as_json)
