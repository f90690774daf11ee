"""Each method of a comparison as a study of its own, in a folder of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically
from windtunnel.scale import Recipe, Run, Scale
from windtunnel.search.policy import Decision
from windtunnel.search.study_store import has_store
from windtunnel.spec import BudgetSpec
from windtunnel.studies.comparison.spec import ComparisonSpec, study_text
from windtunnel.studies.study import STUDY_FILE, Study, open_study

# The seed of the first run that counts: tuning counts its own from 1.
FIRST_SEED = 500
FINAL, SPOT_CHECK = "final", "spot check"


@dataclass(frozen=True)
class MethodStudy:
    """A method and the study that tunes and trains it.

    Attributes:
        name: The method's.
        study: Its study.
        spec: The comparison.
    """

    name: str
    study: Study
    spec: ComparisonSpec

    @property
    def unlimited(self) -> Study:
        """The study without the budget, which is for tuning."""
        limits = {"budget": BudgetSpec()}
        return dataclasses.replace(self.study, spec=self.study.spec.model_copy(update=limits))

    def decisions(self, recommended: dict[str, Any]) -> list[Decision[Run]]:
        """All runs after tuning: those that count, then the spot checks.

        Args:
            recommended: What tuning found: `lr` and `others`, at base.
        """
        study = self.study
        recipe = study.spec.recipe.recipe(lr=recommended["lr"]).replace(**recommended["others"])
        found = [
            Decision(self._run(scale, length, recipe, seed), FINAL)
            for scale in self.scales
            for length in self.spec.lengths
            for seed in range(self.spec.seeds)
        ]
        tuning = self.spec.tuning
        if len(self.scales) > 1:
            found += [
                Decision(
                    self._run(self.scales[-1], 1.0, recipe.replace(lr=factor * recipe.lr), seed),
                    SPOT_CHECK,
                )
                for factor in tuning.spot_checks
                for seed in range(min(tuning.spot_check_seeds, self.spec.seeds))
            ]
        return found

    @property
    def scales(self) -> list[Scale]:
        """Where methods are compared."""
        unit = self.study.spec.unit
        return [
            Scale(width=sizes["width"], depth=sizes["depth"], units=int(float(sizes[unit])))
            for sizes in self.spec.scales
        ]

    def _run(self, scale: Scale, length: float, recipe: Recipe, seed: int) -> Run:
        """A run whose schedule ends at a share of the scale's length, in whole steps."""
        steps = max(1, round(length * scale.units / recipe.batch_units))
        shortened = scale.replace(units=steps * recipe.batch_units)
        return self.study.run(self.study.rule, shortened, recipe, FIRST_SEED + seed)


def open_methods(
    spec: ComparisonSpec, folder: Path, *, workers: int | None = None
) -> Iterator[MethodStudy]:
    """Write each method's study where nothing has been trained yet, and open it.

    Raises:
        WindtunnelError: A method's study can't be carried out, or its folder holds another one.
    """
    for name in spec.methods:
        own = folder / name
        path, text = own / STUDY_FILE, study_text(spec, name)
        differs = path.exists() and yaml.safe_load(path.read_text("utf-8")) != yaml.safe_load(text)
        if differs and has_store(own):
            raise WindtunnelError(
                f"{path}: is not what the comparison's file says any more; undo the change, or "
                "compare in another folder (--folder). Nothing was lost."
            )
        if differs or not path.exists():
            own.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
        yield MethodStudy(name, open_study(own, workers=workers), spec)
