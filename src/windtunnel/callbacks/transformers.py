"""Windtunnel in transformers' Trainer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

from windtunnel.callbacks.planned import planned_optimizer, planned_schedule
from windtunnel.callbacks.verdict import verdict
from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.groups import clip_gradients_
from windtunnel.parametrization.plan import Plan
from windtunnel.report_row import report_row
from windtunnel.scale import Recipe

logger = logging.getLogger(__name__)


class WindtunnelCallback(TrainerCallback):
    """The plan's optimizer and schedule for a Trainer, its rows for a study, and the verdict.

        windtunnel = WindtunnelCallback(plan, recipe)
        args = TrainingArguments(..., max_steps=1000, max_grad_norm=0)
        optimizers = windtunnel.optimizers(model, steps=1000)
        Trainer(model, args, ..., optimizers=optimizers, callbacks=[windtunnel]).train()

    Gradients are clipped here, by the recipe's norm in the rule's own gauge, so the Trainer's own
    clipping has to be off. Every evaluation is a row of the study's run, where the script is one.

    Args:
        plan: The model's.
        recipe: Hyperparameters at base; the Trainer's own rate, decay and scheduler don't count.
        study: Folder of a study whose forecast the last evaluation is held against.

    Attributes:
        verdict: The sentence, once training has ended and there was something to compare.
    """

    def __init__(self, plan: Plan, recipe: Recipe, *, study: Path | str | None = None) -> None:
        """Nothing is built yet."""
        self.verdict: str | None = None
        self._plan, self._recipe = plan, recipe
        self._study = None if study is None else Path(study)
        self._optimizer: Optimizer | None = None
        self._steps = 0
        self._loss: float | None = None

    def optimizers(self, model: nn.Module, steps: int) -> tuple[Optimizer, LambdaLR]:
        """What `Trainer(optimizers=...)` takes.

        Args:
            model: The Trainer's.
            steps: Optimizer steps of the whole run, the Trainer's `max_steps`.

        Raises:
            WindtunnelError: The model and the plan don't match.
        """
        self._optimizer = planned_optimizer(model, self._plan, self._recipe)
        self._steps = steps
        return self._optimizer, planned_schedule(self._optimizer, self._recipe, steps)

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Refuse a Trainer that would train otherwise.

        Raises:
            WindtunnelError: It has another optimizer, length, or clips by itself.
        """
        optimizer = given.get("optimizer")
        if self._optimizer is None or getattr(optimizer, "optimizer", optimizer) is not (
            self._optimizer
        ):
            raise WindtunnelError(
                "WindtunnelCallback: the Trainer has an optimizer of its own; give it "
                "optimizers=callback.optimizers(model, steps)"
            )
        if state.max_steps != self._steps:
            raise WindtunnelError(
                f"WindtunnelCallback: the Trainer takes {state.max_steps} steps and the schedule "
                f"was made for {self._steps}; give optimizers(model, steps={state.max_steps})"
            )
        if args.max_grad_norm:
            raise WindtunnelError(
                f"WindtunnelCallback: the Trainer clips gradients itself, by max_grad_norm="
                f"{args.max_grad_norm}, which isn't the same at every width; give max_grad_norm=0: "
                f"the callback clips by the recipe's norm, {self._recipe.clip_norm}"
            )

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Clip in the rule's gauge."""
        clip_gradients_(given["model"], self._plan, self._recipe.clip_norm)

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Report the evaluation to the study, if this script is one of its runs."""
        loss = (given.get("metrics") or {}).get("eval_loss")
        if loss is not None:
            self._loss = float(loss)
            report_row(state.global_step, loss=self._loss, steps=state.max_steps)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Say the verdict, if there is a forecast and something was evaluated."""
        if self._study is not None and self._loss is not None and state.is_world_process_zero:
            self.verdict = verdict(self._loss, self._study)
            logger.warning(self.verdict)
