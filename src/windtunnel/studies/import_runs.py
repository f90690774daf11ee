"""Runs that are already paid for become finished runs of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json
from windtunnel.laws.reading.given import flag
from windtunnel.laws.sweeps.table import TuningRun, TuningTable
from windtunnel.laws.sweeps.words import column_words
from windtunnel.report.content import Sentence
from windtunnel.report.formatting import amount
from windtunnel.scale import Run, Scale
from windtunnel.search.drive import PHASE_SIZE
from windtunnel.search.study_store import study_store
from windtunnel.spec import BRACKETS
from windtunnel.studies.execute import IMPORTED_PHASE, results
from windtunnel.studies.imported_sweeps import ImportedRun, imported_runs, with_imported
from windtunnel.studies.policies import LADDER
from windtunnel.studies.study import STANDARD, Study

_SAME_LENGTH = 0.01  # a run's last partial batch may be missing
_SAME_VALUE = 1e-6


def import_runs(study: Study, table: TuningTable) -> dict[str, Any]:
    """Add a table's runs to the study and to the sweeps of `tune.json`; again adds nothing.

    All rows are checked before any is added. A run off the ladder is kept as an extra, which no
    step uses. Rates are taken as quoted at the study's base, as the study quotes its own.

    Args:
        study: The study that the runs belong to.
        table: The runs.

    Returns:
        How many were `added`, `known` already and `extra`, how many there are now (`runs`), and
        `remarks` in words.

    Raises:
        WindtunnelError: A row belongs to another rule or recipe, or to the target's scale, or says
            another loss than when it was imported before; the message has its line.
    """
    _require_use(study)
    before = imported_runs(study)
    placed = [_Row(study, table, run) for run in table.runs]
    new = _new_runs(study, table, placed, before)
    study.begin()
    store = study_store(study.folder)
    try:
        for place, (row, run, replicate) in enumerate(new):
            number = IMPORTED_PHASE * PHASE_SIZE + len(before) + place
            result = _result(row, run, table.source, replicate)
            # The result file first: a search that decides on this very run finds it there.
            write_json(study.folder / "runs" / run.key / "result.json", result)
            purpose = f"imported: {table.source}, {table.place} {row.of.line}"
            store.record(number, run, purpose, result)
    finally:
        store.close()
    _refresh_sweeps(study)
    extras = [row for row in placed if row.extra]
    return {
        "source": table.source,
        "added": len(new),
        "known": len(placed) - len(new),
        "extra": len(extras),
        "diverged": sum(run.loss is None for run in table.runs),
        "runs": len(before) + len(new),
        "columns": {use.name: use.heading for use in table.uses},
        "remarks": [*column_words(table), *table.remarks, *_remarks(study, table, extras)],
    }


def import_sentences(outcome: Mapping[str, Any], study: Study) -> list[Sentence]:
    """What was imported, in words."""
    known = f"; {outcome['known']:,} were there already" if outcome["known"] else ""
    text = f"{outcome['added']:,} runs from {outcome['source']}{known}."
    found = [Sentence("Imported", text, "good" if outcome["runs"] else "warn")]
    found += [Sentence("Imported", remark) for remark in outcome["remarks"]]
    after = "" if study.read("forecast") is None else " (the forecast was made before and stays)"
    step = "transfer" if study.spec.search.policy.name == BRACKETS else "tune"
    return [*found, Sentence("Next", f"Next: windtunnel {step} {study.folder}{after}")]


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table with its place in the study, checked."""

    study: Study
    table: TuningTable
    of: TuningRun

    @property
    def where(self) -> str:
        return f"{self.table.source}, {self.table.place} {self.of.line}"

    @property
    def scale(self) -> Scale:
        spec, size = self.study.spec, self.of.scale
        if "width" not in size:
            raise self.asked("width")
        depths = {spec.base.depth, spec.ladder.depth, spec.target.depth}
        if "depth" not in size and len(depths) > 1:
            raise self.asked("depth")
        if spec.unit not in size and (spec.unit == "steps" or "steps" not in size):
            raise self.asked(spec.unit)
        units = size.get(spec.unit, size.get("steps", 0) * spec.recipe.batch)
        near = min(spec.ladder.units, key=lambda length: abs(length - units))
        same = abs(near - units) <= max(_SAME_LENGTH * near, spec.recipe.batch / 2)
        for axis in ("width", "depth"):
            if not float(size.get(axis, 1)).is_integer():
                raise WindtunnelError(f"{self.where}: {axis} {size[axis]:g} is no whole number")
        return Scale(
            width=int(size["width"]),
            depth=int(size.get("depth", spec.ladder.depth)),
            units=near if same else round(units),
        )

    def asked(self, name: str) -> WindtunnelError:
        return WindtunnelError(
            f"{self.table.source}: no column is taken as {name}, which this study's scales have; "
            f"name it: {flag(name, 'HEADING')}"
        )

    @property
    def rule(self) -> str:
        rule = self.of.rule or self.study.rule
        if rule not in (self.study.rule, STANDARD):
            raise WindtunnelError(
                f"{self.where}: the run is under the rule '{rule}', and this study is about "
                f"{self.study.rule}; leave it out with --where rule=={self.study.rule}"
            )
        return rule

    @property
    def extra(self) -> bool:
        """Whether the scale is off the ladder."""
        ladder, scale = self.study.spec.ladder, self.scale
        return not (
            scale.width in ladder.width
            and scale.depth == ladder.depth
            and scale.units in ladder.units
        )

    def run(self, seed: int) -> Run:
        """The run it is in the study."""
        spec, scale = self.study.spec, self.scale
        target = self.study.target
        slack = max(_SAME_LENGTH * target.units, spec.recipe.batch / 2)
        at_target = (scale.width, scale.depth) == (target.width, target.depth)
        if at_target and abs(scale.units - target.units) <= slack:
            raise WindtunnelError(
                f"{self.where}: this is a run of the target, which no forecast may know; leave it "
                f"out, and hold it against the forecast: windtunnel verify {self.study.folder} "
                "--run FILE"
            )
        recipe = spec.recipe.recipe(lr=self.of.lr)
        searched = {}
        for name, value in self.of.settings.items():
            if name in spec.search.hyperparameters:
                searched[name] = value
            elif not self._is_ours(name, value, getattr(recipe, name)):
                raise WindtunnelError(
                    f"{self.where}: {name} is {value:g}, and this study's is "
                    f"{getattr(recipe, name):g} in every run; leave the row out with --where, or "
                    f"the column with --columns {name}="
                )
        return self.study.run(self.rule, scale, recipe.replace(**searched), seed)

    def _is_ours(self, name: str, value: float, ours: float) -> bool:
        wanted = [ours]
        if name == "batch_units" and self.study.spec.unit == "tokens":
            wanted.append(ours / self.study.spec.data.sequence_length)  # counted in sequences
        return any(abs(value - each) <= _SAME_VALUE * abs(each) for each in wanted)


def _new_runs(
    study: Study, table: TuningTable, rows: list[_Row], before: list[ImportedRun]
) -> list[tuple[_Row, Run, int]]:
    """The runs that aren't there yet.

    Seeds count from the study's first, in the order in which they were first seen. Where the table
    has no seeds, runs alike in all but their loss are replicates.
    """
    seeds: dict[str, int] = {run.origin["seed"]: run.origin["replicate"] for run in before}
    free = 1 + max((run.origin["replicate"] for run in before), default=-1)
    fresh = sorted({row.of.seed for row in rows if row.of.seed} - set(seeds), key=_by_number)
    seeds |= {seed: free + place for place, seed in enumerate(fresh)}
    losses: dict[str, tuple[float | None, str]] = {
        run.run.key: (run.loss, f"{run.origin['source']} {run.origin['line']}") for run in before
    }
    new = []
    for row in rows:
        if row.of.seed:
            candidates = range(seeds[row.of.seed], seeds[row.of.seed] + 1)
        else:
            candidates = range(len(rows) + len(before))
        for seed in candidates:
            run = row.run(seed)
            known = losses.get(run.key)
            if known is None:
                losses[run.key] = (row.of.loss, f"{table.source} {row.of.line}")
                new.append((row, run, seed))
                break
            if known[0] == row.of.loss:
                break
        else:
            raise WindtunnelError(
                f"{row.where}: the same run as {known[1] if known else ''}, with another loss; "
                "mend the row or leave it out with --where"
            )
    return new


def _by_number(seed: str) -> tuple[float, str]:
    try:
        return (float(seed), seed)
    except ValueError:
        return (float("inf"), seed)


def _result(row: _Row, run: Run, source: str, replicate: int) -> dict[str, Any]:
    """As training would have written it; the study itself spent nothing on it."""
    return {
        "key": run.key,
        "status": "diverged" if row.of.loss is None else "finished",
        "loss": row.of.loss,
        "loss_se": None,
        "units": run.scale.units,
        "steps": run.steps,
        "flops": 0.0,
        "seconds": 0.0,
        "exact": True,
        "environment": {},
        "imported": {
            "source": source,
            "line": row.of.line,
            "run": row.of.run,
            "seed": row.of.seed,
            "replicate": replicate,
            "extra": row.extra,
        },
    }


def _require_use(study: Study) -> None:
    """Refuse runs that the study's search would never look at."""
    policy = study.spec.search.policy.name
    if policy not in (BRACKETS, LADDER):
        raise WindtunnelError(
            f"runs import: the policy {policy} decides by its own runs alone; {BRACKETS} and "
            f"{LADDER} use others' (search.policy)"
        )
    if policy == LADDER and results(study)["tune"]:
        raise WindtunnelError(
            "runs import: the ladder has decided on runs already, without these; import them "
            "first, into a study in a new folder"
        )


def _refresh_sweeps(study: Study) -> None:
    if study.spec.search.policy.name != BRACKETS:
        return
    tuned = study.read("tune") or {
        "rule": study.rule,
        "sweeps": [],
        "reason": "every run was imported; nothing was searched here",
    }
    study.write("tune", {**tuned, "sweeps": with_imported(study, tuned["sweeps"])})


def _remarks(study: Study, table: TuningTable, extras: list[_Row]) -> list[str]:
    spec = study.spec
    remarks = [
        f"Learning rates were taken as quoted at the base, width {spec.base.width}: under "
        f"{study.rule} the plan makes of them what each parameter gets."
    ]
    if "depth" not in table.runs[0].scale:
        remarks.append(f"The table has no depth; every run was taken as {spec.ladder.depth} deep.")
    if extras:
        scale = extras[0].scale
        remarks.append(
            f"{len(extras)} runs are off the ladder (the first: {table.place} "
            f"{extras[0].of.line}, width {scale.width}, depth {scale.depth}, "
            f"{amount(scale.units)} {spec.unit}): they are kept as extras, and no step uses them."
        )
    return remarks
