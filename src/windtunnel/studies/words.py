"""Verdicts in words: whole sentences with numbers, ranges and units, for terminal and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windtunnel.laws.transfer_axes import axis_words
from windtunnel.report.content import Sentence, Tone
from windtunnel.report.formatting import amount, duration, fixed, interval, scientific, significant
from windtunnel.studies.study import Study

_TONES: dict[str, Tone] = {
    "pass": "good",
    "transfers": "good",
    "ok": "good",
    "fail": "bad",
    "drifts": "bad",
    "wide": "warn",
    "cannot say": "warn",
}


def check_sentence(outcome: Mapping[str, Any]) -> Sentence:
    """What the coordinate check found."""
    slope, axis = outcome["max_abs_slope"], outcome["axis"]
    steepest = "" if slope is None else f" (steepest slope {slope:.2f})"
    words = {
        "pass": f"activations and updates keep their size as {axis} grows",
        "fail": f"activations or updates change their size as {axis} grows",
        "cannot say": "the check cannot say whether sizes stay the same",
    }[outcome["verdict"]]
    reason = "" if outcome["verdict"] == "pass" else f": {outcome['reason']}"
    return Sentence(
        "Check", f"Under {outcome['rule']} {words}{steepest}{reason}.", _TONES[outcome["verdict"]]
    )


def tune_sentences(outcome: Mapping[str, Any], study: Study) -> list[Sentence]:
    """The optimum at every tuned scale of the study's own rule."""
    if "recommended" in outcome:
        return _searched_sentences(outcome)
    sentences = []
    for sweep in outcome["sweeps"]:
        if sweep["rule"] != outcome["rule"]:
            continue
        where = f"width {sweep['width']}, {amount(sweep['units'])} {study.spec.unit}"
        optimum = sweep["optimum"]
        if optimum is None:
            text = f"At {where} no learning rate gave an optimum: {outcome['reason']}."
            sentences.append(Sentence("Tuned", text, "warn"))
        else:
            text = (
                f"At {where} the best learning rate is {significant(optimum['lr'])}"
                f"{rate_range(optimum['lr_ci90'])}, {study.spec.metric.name} "
                f"{fixed(optimum['loss'])}."
            )
            tone: Tone = "good" if optimum["edge"] is None else "warn"
            sentences.append(Sentence("Tuned", text, tone))
    return sentences


def _searched_sentences(outcome: Mapping[str, Any]) -> list[Sentence]:
    """What a policy's search came to."""
    best = outcome["recommended"]
    others = "".join(
        f", {name.replace('_', ' ')} {significant(value)}" for name, value in best["others"].items()
    )
    known = rate_range(best["lr_ci90"]) if best["lr_ci90"] else ""
    text = (
        f"After {outcome['trials']} runs {outcome['policy']} recommends learning rate "
        f"{significant(best['lr'])}{known}{others}"
    )
    if "regret" in outcome:
        text += f", expected to cost {100 * outcome['regret']:.2g} % of the target's loss."
        if outcome["directly"]:
            names = " and ".join(name.replace("_", " ") for name in outcome["directly"])
            text += f" Runs at these scales leave {names} to be tuned at the target itself."
    else:
        text += f": {outcome['reason']}."
    found = [Sentence("Tuned", text, "warn" if outcome.get("directly") else "good")]
    if best["edges"]:
        names = " and ".join(name.replace("_", " ") for name in best["edges"])
        text = (
            f"The best {names} lies at an end of the range that was searched, so it may lie "
            "beyond: widen search.hyperparameters and run it again in a new folder."
        )
        found.append(Sentence("Tuned", text, "warn"))
    return found


def transfer_sentences(outcome: Mapping[str, Any]) -> list[Sentence]:
    """One sentence an axis."""
    return [
        Sentence("Transfer", axis_words(axis), _TONES[axis["verdict"]]) for axis in outcome["axes"]
    ]


def fit_sentences(outcome: Mapping[str, Any]) -> list[Sentence]:
    """How many points the law has, and whether interpolated rates were right."""
    sentences = [
        Sentence("Law", f"{len(outcome['points'])} points of the ladder are ready for the law.")
    ]
    check = outcome["interpolation"]
    if check is not None:
        off = abs(check["octaves_off"])
        text = (
            f"The rate interpolated between the tuned lengths was {off:.2f} octaves from the best "
            f"one where that was checked (width {check['width']})."
        )
        sentences.append(Sentence("Law", text, "good" if off <= 0.5 else "warn"))
    return sentences


def forecast_sentences(outcome: Mapping[str, Any], study: Study) -> list[Sentence]:
    """The target's hyperparameters and loss, before it is trained."""
    metric = study.spec.metric.name
    explained = (
        ", put into your command as it is"
        if study.spec.run is not None
        else f"; `windtunnel explain {study.folder}` shows what that makes of every parameter"
    )
    tuned = Sentence(
        "Set",
        f"Learning rate {significant(outcome['lr'])} at base width {study.spec.base.width}"
        f"{rate_range(outcome['lr_ci90'])}{explained}.",
    )
    if outcome["loss"] is None:
        text = f"The {metric} of the target cannot be told: {outcome['reason']}."
    else:
        text = (
            f"{_capital(metric)} {fixed(outcome['loss'])} at {target_words(study)} "
            f"(90 % range {interval(outcome['ci90'])}), written down before the target started."
        )
        if outcome["verdict"] != "ok":
            text += f" {_capital(outcome['verdict'])}: {outcome['reason']}."
    return [tuned, Sentence("Forecast", text, _TONES[outcome["verdict"]])]


def training_sentences(outcome: Mapping[str, Any]) -> list[Sentence]:
    """What happened while the target was trained that its reader should know."""
    skipped = outcome.get("skipped") or []
    if not skipped:
        return []
    step, why = skipped[0]
    others = "" if len(skipped) == 1 else f", and {len(skipped) - 1} more"
    text = f"Skipped {len(skipped)} of its steps: step {step:,} ({why}){others}."
    return [Sentence("Target", text, "warn")]


def target_sentence(outcome: Mapping[str, Any], study: Study) -> Sentence:
    """What the target reached, against the forecast."""
    reached = f"The target reached {study.spec.metric.name} {fixed(outcome['loss'])}"
    if outcome["error_percent"] is None:
        return Sentence("Target", f"{reached}; there was no forecast to hold it against.", "warn")
    off = f"{fixed(outcome['error_percent'], 1, sign=True)} %"
    if outcome["inside"] is None:
        text = f"{reached}; the forecast had no range, and was off by {off}."
        return Sentence("Target", text, "warn")
    side = "inside" if outcome["inside"] else "outside"
    text = f"{reached}: {side} the forecast's range, which was off by {off}."
    return Sentence("Target", text, "good" if outcome["inside"] else "bad")


def cost_sentence(cost: Mapping[str, Any]) -> Sentence:
    """What tuning took, beside what tuning the target itself would have."""
    share = cost["tuning_flops"] / cost["direct_flops"]
    diverged = f", {cost['diverged']} of them diverged" if cost["diverged"] else ""
    return Sentence(
        "Cost",
        f"Tuning took {scientific(cost['tuning_flops'])} FLOPs in {cost['runs']} runs{diverged}; "
        f"the same {cost['direct_rates']} rates at the target itself would have taken "
        f"{scientific(cost['direct_flops'])}, {1 / share:.1f} times as much. The whole study took "
        f"{duration(cost['wall_seconds'])}.",
        "good" if share < 1 else "warn",
    )


def imported_sentence(imported: Mapping[str, Any]) -> Sentence:
    """How many runs came from where."""
    extra = f"; {imported['extra']} of them are off the ladder" if imported["extra"] else ""
    sources = ", ".join(imported["sources"])
    text = f"{imported['runs']} runs were trained elsewhere and read from {sources}{extra}."
    return Sentence("Imported", text)


def rate_range(ci90: Any) -> str:
    """A learning rate's 90 % range in brackets."""
    if ci90 is None or None in ci90:
        return " (no finite range)"
    return f" (90 % range {significant(ci90[0])} to {significant(ci90[1])})"


def target_words(study: Study) -> str:
    """The target's scale in words."""
    target = study.spec.target
    return f"width {target.width}, depth {target.depth}, {amount(target.units)} {study.spec.unit}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
