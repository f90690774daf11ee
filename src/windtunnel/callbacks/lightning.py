"""Windtunnel in Lightning's Trainer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from windtunnel.callbacks.planned import planned_optimizer, planned_schedule
from windtunnel.callbacks.verdict import verdict
from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.groups import clip_gradients_
from windtunnel.parametrization.plan import Plan
from windtunnel.report_row import report_row
from windtunnel.scale import Recipe

logger = logging.getLogger(__name__)


class WindtunnelCallback(Callback):
    """The plan's optimizer and schedule for a LightningModule, its rows, and the verdict.

        Trainer(max_steps=1000, callbacks=[WindtunnelCallback(plan, recipe)]).fit(module)

    It stands in for the module's own `configure_optimizers`, which Lightning wants to be there,
    whatever it does. Gradients are clipped here, by the
    recipe's norm in the rule's own gauge, so `gradient_clip_val` has to be left out. Every
    validation is a row of the study's run, where the script is one.

    Args:
        plan: The model's.
        recipe: Hyperparameters at base.
        model: Name of the module's attribute that is the planned model; empty for the module.
        metric: Name under which the module logs its validation loss.
        study: Folder of a study whose forecast the last validation is held against.

    Attributes:
        verdict: The sentence, once training has ended and there was something to compare.
    """

    def __init__(
        self,
        plan: Plan,
        recipe: Recipe,
        *,
        model: str = "model",
        metric: str = "val_loss",
        study: Path | str | None = None,
    ) -> None:
        """Nothing is built yet."""
        self.verdict: str | None = None
        self._plan, self._recipe, self._model, self._metric = plan, recipe, model, metric
        self._study = None if study is None else Path(study)
        self._loss: float | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the plan's optimizer in the place of the module's own.

        Raises:
            WindtunnelError: The module has no such model, or the Trainer clips by itself.
        """
        if stage != "fit":
            return
        if trainer.gradient_clip_val:
            raise WindtunnelError(
                f"WindtunnelCallback: the Trainer clips gradients itself, by gradient_clip_val="
                f"{trainer.gradient_clip_val}, which isn't the same at every width; leave it out: "
                f"the callback clips by the recipe's norm, {self._recipe.clip_norm}"
            )
        self._planned(pl_module)

        def configure_optimizers() -> dict[str, Any]:
            optimizer = planned_optimizer(self._planned(pl_module), self._plan, self._recipe)
            steps = int(trainer.estimated_stepping_batches)
            schedule = planned_schedule(optimizer, self._recipe, steps)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "interval": "step", "frequency": 1},
            }

        cast(Any, pl_module).configure_optimizers = configure_optimizers

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Clip in the rule's gauge."""
        clip_gradients_(self._planned(pl_module), self._plan, self._recipe.clip_norm)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the validation to the study, if this script is one of its runs."""
        found = trainer.callback_metrics.get(self._metric)
        if trainer.sanity_checking or found is None:
            return
        self._loss = float(found)
        steps = int(trainer.estimated_stepping_batches)
        report_row(trainer.global_step, loss=self._loss, steps=steps)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say the verdict, if there is a forecast and something was validated."""
        if self._study is not None and self._loss is not None and trainer.is_global_zero:
            self.verdict = verdict(self._loss, self._study)
            logger.warning(self.verdict)

    def _planned(self, module: LightningModule) -> nn.Module:
        found = getattr(module, self._model, None) if self._model else module
        if not isinstance(found, nn.Module):
            raise WindtunnelError(
                f"WindtunnelCallback: the module has no model called '{self._model}'; say which "
                "of its attributes the plan is for: WindtunnelCallback(..., model='net')"
            )
        return found
