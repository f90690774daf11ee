"""Turn what the steps wrote into the report, its figures and `summary.json`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from windtunnel.files import write_json
from windtunnel.report.content import Sentence, StudyContent
from windtunnel.report.write import write_report
from windtunnel.spec import BRACKETS
from windtunnel.studies.execute import PHASES, results
from windtunnel.studies.explain import plan_rows
from windtunnel.studies.imported_sweeps import imported_summary
from windtunnel.studies.policies import LADDER, StudyTrials, scale_axes
from windtunnel.studies.study import Study
from windtunnel.studies.summary import cost, summarise
from windtunnel.studies.words import (
    check_sentence,
    cost_sentence,
    forecast_sentences,
    imported_sentence,
    target_sentence,
    training_sentences,
    transfer_sentences,
    tune_sentences,
)


def write_study_report(study: Study) -> Path:
    """Write `report.html`, `figures/` and `summary.json` from what the study has so far."""
    write_json(study.folder / "summary.json", summarise(study))
    return write_report(study_content(study), study.folder)


def study_content(study: Study) -> StudyContent:
    """Everything a report shows of the study; what has not run is left out."""
    tuned, fitted = study.read("tune"), study.read("fit")
    forecast, target = study.read("forecast"), study.read("target")
    transfer = study.read("transfer")
    content: dict[str, Any] = {
        "title": study.spec.name,
        "unit": study.spec.unit,
        "metric": study.spec.metric.name,
        "rule": study.rule,
        "optimizer": study.spec.optimizer,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sentences": [{"label": s.label, "text": s.text, "tone": s.tone} for s in sentences(study)],
        "next_command": next_command(study),
        "sweeps": [_sweep(sweep) for sweep in (tuned or {"sweeps": []})["sweeps"]],
        "search": _searched(study),
        "check": _checks(study),
        "transfer": (transfer or {"rules": {}})["rules"],
        "law": None
        if fitted is None or forecast is None or forecast["law"] is None
        else {
            "points": fitted["points"],
            "parameters": forecast["law"]["parameters"],
            "curves": forecast["law"]["curves"],
        },
        "forecast": forecast,
        "target": None if target is None else {**target, "params": target["params_non_embedding"]},
        "cost": _cost(study, target is not None),
        "plan": plan_rows(study),
        "environment": _environment(study, target),
        "seeds": sorted({r["run"].init_seed for rows in results(study).values() for r in rows}),
    }
    return StudyContent.from_json(content)


def sentences(study: Study) -> list[Sentence]:
    """The verdicts so far, most useful first: what to set, what to expect, what came of it."""
    forecast, target = study.read("forecast"), study.read("target")
    tuned, transfer = study.read("tune"), study.read("transfer")
    found: list[Sentence] = []
    if forecast is not None:
        found += forecast_sentences(forecast, study)
    elif tuned is not None:
        found += tune_sentences(tuned, study)
    if target is not None:
        found.append(target_sentence(target, study))
        found += training_sentences(target)
        if "imported" in target:
            found.append(Sentence("Target", f"Trained elsewhere. {target['first_reason']}"))
    if tuned is not None and (spent := cost(study))["direct_rates"]:  # none if all was imported
        found.append(cost_sentence(spent))
    imported = imported_summary(study)
    if imported is not None:
        found.append(imported_sentence(imported))
    if transfer is not None:
        found += transfer_sentences(transfer)
    return found + [
        check_sentence(found_check)
        for rule in study.rules
        if (found_check := study.read(f"check-{rule}")) is not None
    ]


def next_command(study: Study) -> str:
    """What to type next, given what the study has."""
    if study.read("target") is None:
        return f"windtunnel run {study.folder}"
    if study.spec.name == "quickstart":
        return "windtunnel init my-study"
    if study.spec.run is not None:
        return f"windtunnel report {study.folder}"
    return f"windtunnel explain {study.folder} --json"


def _sweep(sweep: dict[str, Any]) -> dict[str, Any]:
    optimum = sweep["optimum"]
    known = optimum is not None and None not in optimum["lr_ci90"]
    shown = {"lr": optimum["lr"], "ci90": optimum["lr_ci90"]} if known else None
    return {**sweep, "optimum": shown}


def _searched(study: Study) -> dict[str, Any] | None:
    """The runs that a policy decided on, as it saw them."""
    policy = study.spec.search.policy.name
    if policy == BRACKETS or study.read("tune") is None:
        return None
    translation = StudyTrials(study)
    trials = [(translation.trial_of(r["run"]), r) for r in results(study)["tune"]]
    return {
        "policy": policy,
        "ranges": {
            name: (asked.low, asked.high)
            for name, asked in study.spec.search.hyperparameters.items()
        },
        "scale_axes": scale_axes(study) if policy == LADDER else (),
        "trials": [
            {
                "values": trial.values,
                "fidelity": trial.fidelity,
                "loss": result["loss"],
                "flops": result["flops"],
            }
            for trial, result in trials
        ],
    }


def _checks(study: Study) -> dict[str, Any]:
    found = {rule: study.read(f"check-{rule}") for rule in study.rules}
    return {rule: check for rule, check in found.items() if check is not None}


_STEP_WORDS = {
    "tune": "Search on the ladder",
    "fit": "Lengths between",
    "target": "Target",
    "compare": "Compared",
}


def _cost(study: Study, with_target: bool) -> list[dict[str, Any]]:
    spent = cost(study)
    rows = [
        {"what": _STEP_WORDS[step], **spent["steps"][step]}
        for step in PHASES
        if spent["steps"][step]["runs"]
    ]
    imported = imported_summary(study)
    if imported is not None:
        rows.append({"what": "Imported, paid for elsewhere", "runs": imported["runs"]})
    if with_target:
        seconds = spent["steps"]["target"]["seconds"] * spent["direct_rates"]
        rows.append(
            {
                "what": "For comparison: the same number of rates at the target itself",
                "runs": spent["direct_rates"],
                "flops": spent["direct_flops"],
                "seconds": seconds,
            }
        )
    return rows


def _environment(study: Study, target: dict[str, Any] | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "data": study.data_words,
        "data hash": study.data_hash or "not known",
    }
    every = [r for rows in results(study).values() for r in rows]
    if every:
        described |= every[-1]["environment"]
        described.pop("population", None)  # of that run alone
    at_once = [result for result in every if "population" in result["environment"]]
    used = None if target is None else target.get("utilisation")
    if used is not None:
        described["model-FLOPs utilisation"] = f"{100 * used['share']:.0f} %"
        described["of a peak"] = used["peak_from"]
        described["counting"] = used["counted"]
    if target is not None:
        single = [result for result in every if "population" not in result["environment"]]
        described["resumed exactly"] = all(result["exact"] for result in single)
    if at_once:
        described["trained at once with others"] = f"{len(at_once)} of {len(every)} runs"
    return described
