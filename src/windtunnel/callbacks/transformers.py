"""Windtunnel in transformers' Trainer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerCallback

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

        trainer = Trainer(model, TrainingArguments(..., max_grad_norm=0), ...)
        WindtunnelCallback(plan, recipe).attach(trainer)
        trainer.train()

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
        self._attached = False
        self._loss: float | None = None

    def attach(self, trainer: Trainer) -> None:
        """Let a Trainer make the plan's optimizer and the recipe's schedule, and listen to it.

        They are made when it begins to train, as its own would be, so that it may wrap or shard
        the model before.

        Args:
            trainer: Not yet training.

        Raises:
            WindtunnelError: It was given an optimizer, or clips by itself.
        """
        if trainer.optimizer is not None:
            raise WindtunnelError(
                "WindtunnelCallback: the Trainer was given an optimizer of its own; leave "
                "`optimizers` out, the callback makes the plan's"
            )
        if trainer.args.max_grad_norm:
            raise WindtunnelError(
                "WindtunnelCallback: the Trainer clips gradients itself, by max_grad_norm="
                f"{trainer.args.max_grad_norm}, which isn't the same at every width; give "
                "max_grad_norm=0: the callback clips by the recipe's norm, "
                f"{self._recipe.clip_norm}"
            )

        made: Any = trainer

        def create_optimizer(model: nn.Module | None = None) -> Optimizer:
            if made.optimizer is None:
                planned = made.model if model is None else model
                made.optimizer = planned_optimizer(planned, self._plan, self._recipe)
            found: Optimizer = made.optimizer
            return found

        def create_scheduler(num_training_steps: int, optimizer: Any = None) -> LambdaLR:
            if made.lr_scheduler is None:
                scheduled = made.optimizer if optimizer is None else optimizer
                # accelerate's wrapper holds torch's own.
                scheduled = getattr(scheduled, "optimizer", scheduled)
                made.lr_scheduler = planned_schedule(scheduled, self._recipe, num_training_steps)
            found: LambdaLR = made.lr_scheduler
            return found

        made.create_optimizer = create_optimizer
        made.create_scheduler = create_scheduler
        trainer.add_callback(self)
        self._attached = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Refuse a Trainer that was only given the callback.

        Raises:
            WindtunnelError: It would train with an optimizer of its own.
        """
        if not self._attached:
            raise WindtunnelError(
                "WindtunnelCallback: the Trainer would train with an optimizer of its own; leave "
                "the callback out of `callbacks` and call callback.attach(trainer)"
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
