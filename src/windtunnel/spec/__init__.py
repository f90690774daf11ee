"""The study file: typed, validated, and explained to the person who wrote it."""

from __future__ import annotations

from windtunnel.spec.reading import load_study, one_line, read_yaml
from windtunnel.spec.sections import (
    BRACKETS,
    BudgetSpec,
    DataSpec,
    FamilySpec,
    LadderSpec,
    LimitsSpec,
    MetricSpec,
    PolicySpec,
    RangeSpec,
    RecipeSpec,
    RunSpec,
    SearchSpec,
    SizeSpec,
    SkipSpec,
    TrainingSpec,
)
from windtunnel.spec.study import UNITS, StudySpec
from windtunnel.spec.values import Amount, Seconds

__all__ = [
    "BRACKETS",
    "UNITS",
    "Amount",
    "BudgetSpec",
    "DataSpec",
    "FamilySpec",
    "LadderSpec",
    "LimitsSpec",
    "MetricSpec",
    "PolicySpec",
    "RangeSpec",
    "RecipeSpec",
    "RunSpec",
    "SearchSpec",
    "Seconds",
    "SizeSpec",
    "SkipSpec",
    "StudySpec",
    "TrainingSpec",
    "load_study",
    "one_line",
    "read_yaml",
]
