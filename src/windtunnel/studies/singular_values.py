"""Do top singular values match between widths once weight decay has set them?"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.rule import Rule
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Role, Run
from windtunnel.schedules import recipe_multiplier
from windtunnel.studies.check import about, middle_rate, read_for
from windtunnel.studies.study import Study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from windtunnel.parametrization.plan import Plan
    from windtunnel.parametrization.slopes import Slope

_SEEDS = 2
# exp(-3): 5 % of what a weight began with is left.
SETTLED = 3.0


def match_singular_values(
    study: Study, rule: str | None, progress: StudyProgress
) -> dict[str, Any]:
    """Train every ladder width at the shortest length and compare spectra, or read what was found.

    Runs take the study's recipe, decay included, at half the middle of its bracket of rates.

    Args:
        study: An open study.
        rule: A rule's name or its file; None is the study's own.
        progress: Where the bar is shown.

    Returns:
        `rule`; `time_constants`, how often the run that decays least could have forgotten its
        start, `1 / (rate x decay)` steps each; `settled`, whether that is enough; `slopes` against
        width, of top singular values and of the same over their law; and `sentences`, what it
        means, the first about all.

    Raises:
        WindtunnelError: The ladder has one width, or nothing decays.
    """
    chosen = study.rule_named(rule)
    step = f"singular-values-{chosen.name}"
    found = read_for(study, step, chosen)
    if found is not None:
        return found
    if len(study.spec.ladder.width) < 2:
        raise WindtunnelError("check: singular values are compared between widths; give two")
    if study.spec.recipe.weight_decay == 0:
        raise WindtunnelError(
            "check: recipe.weight_decay is 0, so weights never forget their start, and nothing "
            "but their initialisation sets their singular values; give a decay"
        )
    from windtunnel.parametrization.singular_values import singular_value_slopes

    study.begin()
    folder = study.folder / step
    recipe = study.spec.recipe.recipe(lr=middle_rate(study))
    shortest = min(study.spec.ladder.units)
    runs = [
        study.run(study.rule, study.proxy(width, shortest), recipe, seed).replace(
            rule=chosen.name, rule_content=chosen.content
        )
        for seed in range(_SEEDS)
        for width in study.spec.ladder.width
    ]
    trained: list[tuple[nn.Module, Plan]] = []
    with progress.step(f"Training under {chosen.name} for its singular values", total=1.0) as bar:
        for done, run in enumerate(runs, start=1):
            trained.append(_trained(study, run, chosen, folder))
            bar.update(done / len(runs))
    slopes = singular_value_slopes(trained)
    constants = min(time_constants(run, plan) for run, (_, plan) in zip(runs, trained, strict=True))
    value = {
        **about(chosen),
        "time_constants": constants,
        "settled": constants >= SETTLED,
        "slopes": [slope.to_json() for slope in slopes],
        "sentences": sentences(slopes, constants),
    }
    study.write(step, value)
    shutil.rmtree(folder)
    return value


def time_constants(run: Run, plan: Plan) -> float:
    """How often a run's hidden matrices can forget where they began; the least of them speaks."""
    recipe = run.recipe
    multipliers = sum(recipe_multiplier(recipe, step, run.steps) for step in range(run.steps))
    product = min(entry.lr * entry.weight_decay for entry in plan if entry.role is Role.HIDDEN)
    return recipe.lr * recipe.weight_decay * multipliers * product


def sentences(slopes: Sequence[Slope], constants: float) -> list[str]:
    """What the slopes mean, the first sentence about all of them."""
    from windtunnel.parametrization.singular_values import TOP, gain_sentence
    from windtunnel.parametrization.verdict import SMALLEST_MISTAKE

    worst: dict[str, Slope] = {}
    for slope in slopes:
        kind = without_indices(slope.module)
        if slope.quantity == TOP and abs(slope.slope) >= abs(worst.get(kind, slope).slope):
            worst[kind] = slope
    ends = sorted(slope.slope for slope in worst.values())
    measured = (
        f"Top singular values of {len(ends)} kinds of hidden matrices follow width^{ends[0]:+.2f} "
        f"to width^{ends[-1]:+.2f}"
    )
    if constants < SETTLED:
        return [
            f"{measured}, but after {constants:.2g} time constants of the decay weights still "
            f"remember their start, so this says nothing of decay: it takes {SETTLED:g} (a longer "
            "shortest length, or more weight_decay)."
        ]
    off = [said for slope in worst.values() if (said := gain_sentence(slope)) is not None]
    if off:
        return [f"{measured}: they do not match, so gains change with width.", *off]
    if any(abs(end) > SMALLEST_MISTAKE for slope in worst.values() for end in slope.ci90):
        return [
            f"{measured}; none is clearly off, but 90 % ranges reach beyond {SMALLEST_MISTAKE:g}, "
            "so whether they match can't be said: more ladder widths would tell."
        ]
    return [f"{measured}: they match, so sublayers keep their gain."]


def _trained(study: Study, run: Run, rule: Rule, folder: Path) -> tuple[nn.Module, Plan]:
    """A run's model after its last step; trained in a folder of its own, which can be resumed."""
    from safetensors.torch import load_model

    from windtunnel.parametrization.plan import plan
    from windtunnel.training.device import worker_devices
    from windtunnel.training.loop import train

    own = folder / run.key
    train(
        run,
        family=study.family,
        batches=study.batches,
        folder=own,
        device=worker_devices(study.spec.device, 1)[0],
        keep_weights=True,
    )
    model = study.family.build(run.scale)
    load_model(model, own / "model.safetensors")
    return model, plan(study.family, run.base, run.scale, rule, run.optimizer)
