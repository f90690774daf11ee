"""Optuna's samplers (TPE, GP, CMA-ES, QMC, random); needs the extra `optuna`."""

from windtunnel.search.optuna_adapter.policy import OptunaPolicy

__all__ = ["OptunaPolicy"]
