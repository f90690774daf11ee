"""A schedule of ours as torch's LambdaLR, for a loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from windtunnel.errors import WindtunnelError
from windtunnel.schedules import schedule_multiplier
from windtunnel.schedules.settings import Setting


def lambda_lr(
    optimizer: Optimizer,
    schedule: str | Callable[[int, int], float],
    steps: int,
    *,
    warmup_fraction: float = 0.1,
    decay_fraction: float = 0.3,
    settings: Mapping[str, Setting] | None = None,
    done: int = 0,
) -> LambdaLR:
    """A torch scheduler that multiplies every group's own rate by a schedule of ours.

    Call its `step()` after the optimizer's, once a step. Groups keep their ratios, so a plan's
    rates survive. Its state dict is `{"last_epoch": steps done}` and nothing else: loading it, or
    giving `done`, sets every group's rate to what an undisturbed run has, before or after the
    optimizer's own state is loaded.

    Args:
        optimizer: Its groups carry peak rates as `lr`. Where a group has an `initial_lr` (torch
            notes it when a scheduler is made, and an optimizer's state dict holds it), that is the
            peak rate.
        schedule: A name in `windtunnel.schedules.SCHEDULES`, or any function of step and steps,
            such as `functools.partial(recipe_multiplier, recipe)`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up; the default is a recipe's.
        decay_fraction: Share of the steps that decay, where the schedule reads it; likewise.
        settings: The schedule's own settings.
        done: Steps done already.

    Returns:
        The scheduler. After the run's last step its rates stay as they are.

    Raises:
        WindtunnelError: The schedule can't be, or `done` lies outside the run. So does a `step()`
            beyond the run's end.
    """
    own = dict(settings or {})

    def named(step: int, steps: int) -> float:
        return schedule_multiplier(
            str(schedule),
            step,
            steps,
            warmup_fraction=warmup_fraction,
            decay_fraction=decay_fraction,
            settings=own,
        )

    if callable(schedule):
        if own:
            raise WindtunnelError("settings: a function has none; put them into the function.")
        at = schedule
    else:
        at = named

    def multiplier(step: int) -> float:
        """After the last step torch asks once more, for a step that isn't taken."""
        return at(step - 1 if step == steps > 0 else step, steps)

    multiplier(done)  # refuses before a rate is touched
    scheduler = _FromTheStep(optimizer, multiplier)
    scheduler.load_state_dict({"last_epoch": done})
    return scheduler


class _FromTheStep(LambdaLR):
    """LambdaLR whose state is its step. torch's own leaves rates as they were when it is loaded."""

    def state_dict(self) -> dict[str, Any]:
        """Only the steps done: all else follows from them."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a step, and set every group's rate for it."""
        self.last_epoch = int(state_dict["last_epoch"])
        self._step_count = self.last_epoch + 1
        rates = [
            base * multiplier(self.last_epoch)
            for base, multiplier in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if hasattr(group["lr"], "fill_"):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
