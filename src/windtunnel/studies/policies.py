"""A study's search by one of `windtunnel.search.policies`: its space, its options, its trials."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Run, Scale
from windtunnel.search.policies import POLICIES, make_policy, policy_class
from windtunnel.search.policy import Policy
from windtunnel.search.space import Float, Space
from windtunnel.search.surrogate.beliefs import AxisBelief
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial, Value
from windtunnel.search.trial_runs import TrialRuns
from windtunnel.spec import BRACKETS
from windtunnel.studies.imported_sweeps import imported_runs
from windtunnel.studies.study import OWN_RULE, STANDARD, Study

# Law and target are trained on the study's first seed, which no search of these ever sees.
TUNING_SEED = 1
LADDER = "ladder"
_USUAL_TRIALS = 32
# Octaves an octave by which the best rate may leave the rule's promise, by width and by length.
# Twice what is believed elsewhere: a study has to see that its rule holds, not to take it on trust.
_RATE_DRIFT = (0.5, 0.5)
# Nobody knows which rule a command follows; under none the rate falls by 1 a doubling of the width.
_UNKNOWN_DRIFT = (0.8, 0.5)
# What a policy's trials are told of the scale: the length of training, the width, or both.
_ALONG: Mapping[str, Literal["width", "scale"]] = {"telescoping": "width", LADDER: "scale"}


def study_policy(study: Study) -> tuple[Policy[Trial], TrialRuns]:
    """The policy that the study file names, and the same as one that decides on runs.

    Raises:
        WindtunnelError: There is no such policy, it can't search what the study searches, or it
            has no such option.
    """
    asked = study.spec.search.policy
    if asked.name not in POLICIES:
        names = ", ".join(name for name in (BRACKETS, *POLICIES) if name != "pbt")
        raise WindtunnelError(f"search.policy: no policy '{asked.name}'; choose from {names}")
    if asked.name == "pbt":
        raise WindtunnelError(
            "search.policy: pbt changes values in the middle of training, and a study's runs each "
            "have one recipe from beginning to end; use windtunnel.tune with `states`"
        )
    given = _given(study)
    accepted = inspect.signature(policy_class(asked.name)).parameters
    own = {name: value for name, value in given.items() if name in accepted}
    taken = sorted(set(own) & set(asked.options) - {"trials", "points"})
    if taken:
        raise WindtunnelError(
            f"search.policy.options.{taken[0]}: the study's ladder and parallelism say this"
        )
    if float(asked.options.get("eta", 3)) % 1:
        raise WindtunnelError(
            f"search.policy.options.eta: {asked.options['eta']:g} makes lengths that are no whole "
            "numbers; give a whole number"
        )
    try:
        policy = make_policy(asked.name, study_space(study), **{**own, **asked.options})
    except WindtunnelError as error:
        raise WindtunnelError(f"search.policy: {error}") from error
    known = _paid_for(study) if asked.name == LADDER else ()
    return policy, TrialRuns(policy, StudyTrials(study), known)


def _paid_for(study: Study) -> list[Row[Run]]:
    """Imported runs of the study's rule and ladder."""
    return [
        Row(
            paid.number,
            paid.run,
            "imported",
            "diverged" if paid.loss is None else "finished",
            paid.loss,
        )
        for paid in imported_runs(study)
        if paid.run.rule == study.rule and not paid.origin["extra"]
    ]


def study_space(study: Study) -> Space:
    """What the study searches, on log scales."""
    return Space(
        {
            name: Float(asked.low, asked.high, log=True)
            for name, asked in study.spec.search.hyperparameters.items()
        }
    )


def scale_axes(study: Study) -> tuple[str, str]:
    """The names that the study's scale has in a ladder's trials."""
    return "width", study.spec.unit


def rate_drift(study: Study) -> float:
    """Octaves by which the best rate should move for a doubling of the width, under the rule."""
    return -1.0 if study.rule == STANDARD else 0.0


@dataclass(frozen=True, slots=True)
class StudyTrials:
    """A study's runs as trials: a `windtunnel.search.trial_runs.Translation`.

    Attributes:
        study: Whose rule, depth and other hyperparameters all runs have.
    """

    study: Study

    def run_of(self, trial: Trial) -> Run:
        """The run at the scale that the trial names, or at the study's own width or length."""
        study, values = self.study, trial.values
        names = study.spec.search.hyperparameters
        recipe = study.spec.recipe.recipe(lr=float(values["lr"])).replace(
            **{name: float(values[name]) for name in names}
        )
        seed = trial.seed - study.spec.seed + TUNING_SEED
        return study.run(study.rule, self._scale(trial), recipe, seed)

    def trial_of(self, run: Run) -> Trial:
        """The trial of a run that `run_of` made."""
        study = self.study
        values: dict[str, Value] = {
            name: getattr(run.recipe, name) for name in study.spec.search.hyperparameters
        }
        seed = run.init_seed - study.first_seed - TUNING_SEED + study.spec.seed
        match _ALONG.get(study.spec.search.policy.name):
            case "scale":
                width, unit = scale_axes(study)
                values |= {width: run.scale.width, unit: run.scale.units}
                return Trial.of(values, seed=seed)
            case "width":
                return Trial.of(values, fidelity=float(run.scale.width), seed=seed)
            case _:
                return Trial.of(values, fidelity=float(run.scale.units), seed=seed)

    def _scale(self, trial: Trial) -> Scale:
        study = self.study
        match _ALONG.get(study.spec.search.policy.name):
            case "scale":
                width, unit = scale_axes(study)
                return study.proxy(int(trial.values[width]), int(trial.values[unit]))
            case "width":
                return study.proxy(round(trial.fidelity or 0), study.spec.ladder.units[0])
            case _:
                return study.proxy(tuned_width(study), round(trial.fidelity or 0))


def tuned_width(study: Study) -> int:
    """Where a policy that tunes at one width does so.

    Raises:
        WindtunnelError: The study file names a width that the ladder hasn't got.
    """
    width, widths = study.spec.search.policy.width, study.spec.ladder.width
    if width is not None and width not in widths:
        raise WindtunnelError(
            f"search.policy.width: {width} is none of the ladder's widths, "
            f"{', '.join(map(str, widths))}"
        )
    return width or widths[-1]


def _given(study: Study) -> dict[str, Any]:
    """The options that follow from the study."""
    ladder, search = study.spec.ladder, study.spec.search
    width, unit = scale_axes(study)
    shortest, longest = float(ladder.units[0]), float(ladder.units[-1])
    raised = float(search.policy.options.get("eta", 3)) ** int(
        search.policy.options.get("raises", 0)
    )
    sequence = study.spec.data.sequence_length

    def flops(scale: Mapping[str, float]) -> float:
        proxy = study.proxy(int(scale[width]), int(scale[unit]))
        return proxy.units * study.family.flops_per_unit(proxy, sequence)

    space = study_space(study)
    middle = {name: float(range_.value(0.5)) for name, range_ in space.parameters.items()}
    narrowest = ladder.width[0]
    rate_drifts = _UNKNOWN_DRIFT if study.rule == OWN_RULE else _RATE_DRIFT

    def prior(scale: Mapping[str, float]) -> Mapping[str, float]:
        return {**middle, "lr": middle["lr"] * (scale[width] / narrowest) ** rate_drift(study)}

    return {
        "trials": _USUAL_TRIALS,
        "points": search.hyperparameters["lr"].points,
        "least": shortest,
        "most": longest / raised,
        "fidelity": longest,
        "widths": ladder.width,
        "at_once": search.parallelism,
        "parallel": search.parallelism,
        "scales": [{width: w, unit: units} for w in ladder.width for units in ladder.units],
        "target": {width: study.target.width, unit: study.target.units},
        "cost": flops,
        "prior": prior,
        "beliefs": [
            AxisBelief(name, drift=rate_drifts) if name == "lr" else AxisBelief(name)
            for name in space.names
        ],
    }
