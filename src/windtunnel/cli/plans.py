"""Commands that show or check how parameters are set, before any search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windtunnel.cli.output import AsJson, StudyPath, end_with, open_study, progress_bar, say, show
from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from windtunnel.studies.study import Study


def rules(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A rule or recipe rule; all by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the parametrization rules with their sources, or print one rule's table."""
    from windtunnel.parametrization.catalogue import catalogue, rule_table
    from windtunnel.report.rules import print_catalogue, print_rule

    found = catalogue() if name is None else rule_table(name)
    if as_json:
        show(found, "", as_json)
    elif name is None:
        print_catalogue(found)
    else:
        print_rule(found)


def explain(
    study: StudyPath,
    scale: Annotated[
        str | None, typer.Option(help="Such as width=256,depth=4; the target by default.")
    ] = None,
    recipe: Annotated[
        bool, typer.Option("--recipe", help="With the study's tuned recipe, not for values of 1.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="GROUPS.json", help="What do these parameter groups of yours do otherwise?"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how every parameter is set at a scale, before anything trains."""
    from windtunnel.report.settings import print_differences, print_settings
    from windtunnel.report.terminal import print_plan
    from windtunnel.studies.against import explain_against
    from windtunnel.studies.explain import explain as explain_plan

    opened = open_study(study)
    words: Callable[[Mapping[str, Any]], None]
    if against is not None:
        found = explain_against(opened, against, scale, with_recipe=recipe)
        words = print_differences
    else:
        found = explain_plan(opened, scale, every_block=as_json, with_recipe=recipe)
        words = print_settings if recipe else print_plan
    if as_json:
        show(found, "", as_json)
    else:
        words(found)


def check(
    study: StudyPath,
    rule: Annotated[
        str | None,
        typer.Option(help="One that `windtunnel rules` lists; the study's own by default."),
    ] = None,
    depth: Annotated[bool, typer.Option(help="Check in depth instead of width.")] = False,
    alignment: Annotated[
        bool, typer.Option(help="Measure instead what the rule assumes, to explain a drift.")
    ] = False,
    singular_values: Annotated[
        bool,
        typer.Option(
            "--singular-values",
            help="Train the ladder's widths and measure instead what decay makes of their gains.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do activations and updates keep their size as the model grows?"""
    from windtunnel.studies.check import check as run_check
    from windtunnel.studies.words import check_sentence

    opened = open_study(study)
    if alignment or singular_values:
        option = "--alignment" if alignment else "--singular-values"
        if alignment and singular_values:
            raise WindtunnelError("check: --alignment or --singular-values, one at a time")
        if depth:
            raise WindtunnelError(f"check: {option} is measured in width; leave --depth out")
        (_diagnose if alignment else _match_singular_values)(opened, rule, as_json)
        return
    with progress_bar(as_json) as progress:
        outcome = run_check(opened, rule, progress, depth=depth)
    say(outcome, [check_sentence(outcome)], as_json)
    end_with(outcome["verdict"])


def _diagnose(study: Study, rule: str | None, as_json: bool) -> None:
    from windtunnel.studies.check import diagnose

    with progress_bar(as_json) as progress:
        found = diagnose(study, rule, progress)
    nothing = f"Alignment is what {found['rule']} assumes."
    show(found, "\n".join(found["sentences"]) or nothing, as_json)


def _match_singular_values(study: Study, rule: str | None, as_json: bool) -> None:
    from windtunnel.studies.singular_values import match_singular_values

    with progress_bar(as_json) as progress:
        found = match_singular_values(study, rule, progress)
    show(found, "\n".join(found["sentences"]), as_json)
