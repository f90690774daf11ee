"""One process's part of a run: from the first step, or the checkpoint, to a stop or the end."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from windtunnel.models.family import Family
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer
from windtunnel.optimizers.update_rule import Signal
from windtunnel.parametrization.groups import clip_gradients_
from windtunnel.scale import Run
from windtunnel.schedules import recipe_multiplier
from windtunnel.training.accumulate import add_gradients
from windtunnel.training.assemble import assemble
from windtunnel.training.batches import Batches
from windtunnel.training.checkpoint import Checkpoints, Progress
from windtunnel.training.environment import describe_environment, differences
from windtunnel.training.execution import Execution
from windtunnel.training.metrics import MetricsLog
from windtunnel.training.portions import portions
from windtunnel.training.ranks import Ranks
from windtunnel.training.result import RunResult
from windtunnel.training.signal import make_gradients_the_signal, signal_of, signal_seed
from windtunnel.training.skipping import Skipping
from windtunnel.training.spread import spread
from windtunnel.training.trackers import Tracker

logger = logging.getLogger(__name__)

READ_SECONDS = 0.1  # between waits for a GPU's losses; on a CPU they are there at once
READ_STEPS = 16  # the same for several processes, whose clocks differ
COMPILED = "compiled"  # where torch keeps this run's compiled code, in the run's folder
LOG_SECONDS = 1.0  # how far `metrics.jsonl` may lag behind the run
_NO, _SAVE, _STOP = range(3)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A step that was taken and not yet read; the loss only where it had to be known at once."""

    multiplier: float
    share: Tensor
    norm: Tensor
    loss: float | None = None
    skipped: str | None = None


class Session:
    """Takes a run's steps.

    Args:
        run: The run.
        family: Its family.
        batches: Its data.
        folder: Its folder.
        threads: CPU threads.
        execution: How it is carried out.
        ranks: The processes that train it.
        checkpoints: Where it goes on from.
        trackers: Told of every step, by the first process.
        began: When this process began with it, on the performance counter.

    Attributes:
        step: Steps taken: the next one's number.
        diverged: Whether a loss was not finite, or more steps had to be skipped than allowed.
        before: How far the run had come when this process began.
        stepping_seconds: Time that this process spent on steps alone, without checkpoints.

    Raises:
        WindtunnelError: The run can't be carried out like that, or its folder can't be written.
    """

    def __init__(
        self,
        run: Run,
        family: Family,
        batches: Batches,
        folder: Path,
        threads: int,
        execution: Execution,
        ranks: Ranks,
        checkpoints: Checkpoints,
        trackers: Sequence[Tracker],
        began: float,
    ) -> None:
        """Assemble what trains, and go back to where the run was."""
        self.run, self.family, self.batches = run, family, batches
        self.ranks, self._checkpoints = ranks, checkpoints
        self._device, self._began = ranks.device, began
        self.signal = signal_of(run, family)
        self._sequences, self._parts = portions(run, family, execution, ranks, self.signal)
        self.precision: AbstractContextManager[object] = contextlib.nullcontext()
        if run.precision == "bf16":
            self.precision = torch.autocast(self._device.type, dtype=torch.bfloat16)
        self.trainee = assemble(
            run,
            family,
            self._device,
            functools.partial(
                spread,
                family=family,
                execution=execution,
                ranks=ranks,
                compiled=folder / COMPILED,
            ),
        )
        if ranks.data_rank:
            # What is drawn in training, as for dropout, differs from part to part of a batch.
            torch.manual_seed((ranks.data_rank << 32) + run.init_seed)
        self.before = self._resume(
            describe_environment(self._device, threads, run.precision)
            | execution.differences_in_rounding(ranks.count, ranks.tensor_count)
        )
        self.step = self.before.step
        self.skipping = Skipping(run.skip, self.before.skipped, self.before.norms)
        self.diverged = False
        self.stepping_seconds = 0.0
        first = ranks.rank == 0
        self._log = MetricsLog(folder / "metrics.jsonl", self.step) if first else None
        self._trackers = tuple(trackers) if first else ()
        for tracker in self._trackers:
            tracker.start(run, folder, self.step)

    def train(
        self,
        should_stop: Callable[[], bool],
        on_progress: Callable[[int, int, float], object],
        checkpoint_seconds: float,
    ) -> bool:
        """Take the steps that are left; False if asked to stop before the run was complete."""
        steps, first = self.run.steps, self.ranks.rank == 0
        unread: list[_Taken] = []
        began, stood_still = time.perf_counter(), self._checkpoints.seconds
        read_at = logged_at = saved_at = time.monotonic()
        while self.step < steps and not self.diverged:
            unread.append(self._advance())
            self.step += 1
            if not self._due(read_at, last=self.step == steps):
                continue
            loss = self._read(unread)
            now = read_at = time.monotonic()
            wish = _NO
            if first:
                on_progress(self.step, steps, loss)
                late = now - saved_at >= checkpoint_seconds
                wish = _STOP if should_stop() else _SAVE if late else _NO
            wish = int(self.ranks.said_by_first([wish])[0])
            self._checkpoints.tend()
            if not self.diverged and wish != _NO:
                self._save()
                if wish == _STOP:
                    self._checkpoints.finish()
                    return False
                saved_at = logged_at = time.monotonic()
            elif now - logged_at >= LOG_SECONDS:
                self.write_log(durable=False)
                logged_at = now
        self.stepping_seconds = time.perf_counter() - began
        self.stepping_seconds -= self._checkpoints.seconds - stood_still
        self._checkpoints.finish()
        return True

    @property
    def seconds(self) -> float:
        """Time spent on the run, by earlier processes and this one."""
        return self.before.seconds + time.perf_counter() - self._began

    def write_log(self, *, durable: bool = True) -> None:
        """Write what was logged, if this process is the one that does."""
        if self._log is not None:
            self._log.write(durable=durable)

    def finish_trackers(self, result: RunResult | None) -> None:
        """Close the trackers' records; without a result where the run goes on another time."""
        for tracker in self._trackers:
            tracker.finish(None if result is None else result.to_json())

    def _due(self, read_at: float, *, last: bool) -> bool:
        """Whether the losses are read now, which waits for a GPU; on all processes alike."""
        if self._device.type == "cpu" or last:
            return True
        if self.ranks.mesh is not None:
            return self.step % READ_STEPS == 0
        return time.monotonic() - read_at >= READ_SECONDS

    def _advance(self) -> _Taken:
        """Take one optimizer step, or skip it."""
        run, recipe, trainee = self.run, self.run.recipe, self.trainee
        multiplier = recipe_multiplier(recipe, self.step, run.steps)
        for group, rate in zip(trainee.optimizer.param_groups, trainee.peak_rates, strict=True):
            group["lr"] = rate * multiplier
        share = add_gradients(
            trainee.called,
            self.family.loss,
            self.batches.training(self.step, run.data_seed, self._sequences),
            device=self._device,
            precision=self.precision,
            parts=self._parts,
            rank=self.ranks.data_rank,
            ranks=self.ranks.data_count,
        )
        norm = clip_gradients_(trainee.model, trainee.plan, recipe.clip_norm)
        taken = _Taken(multiplier, share, norm)
        if self.skipping.watches:
            loss = self._losses([share])[0]
            reason = self.skipping.reason(self.step, loss, norm.item())
            taken = dataclasses.replace(taken, loss=loss, skipped=reason)
        if taken.skipped is None:
            trainee.optimizer.step()
            if self.signal is not None and (self.step + 1) % self.signal.every == 0:
                self._give_signal(self.signal)
        trainee.optimizer.zero_grad(set_to_none=True)
        return taken

    def _give_signal(self, signal: Signal) -> None:
        """Let the optimizer look at the curvature, on a batch of no step."""
        run, trainee = self.run, self.trainee
        make_gradients_the_signal(
            signal,
            run,
            self.step,
            self.family,
            trainee.called,
            self.batches.training(self.step, signal_seed(run), self._sequences),
            precision=self.precision,
            parts=self._parts,
            ranks=self.ranks,
        )
        clip_gradients_(trainee.model, trainee.plan, run.recipe.clip_norm)
        cast(RuleOptimizer, trainee.optimizer).observe()

    def _losses(self, shares: list[Tensor]) -> list[float]:
        """The batches' mean losses, from what each process saw of them."""
        copies = self.ranks.tensor_count
        summed = self.ranks.total([share.item() for share in shares])
        return summed if copies == 1 else [value / copies for value in summed]

    def _read(self, unread: list[_Taken]) -> float:
        """Log the steps not yet read, up to the first at which the run diverged; the last loss."""
        losses = [taken.loss for taken in unread]
        if None in losses:
            losses = list(self._losses([taken.share for taken in unread]))
        loss, first = math.nan, self.step - len(unread)
        for step, (taken, found) in enumerate(zip(unread, losses, strict=True), start=first):
            loss = cast(float, found)
            if self._log is not None:
                row = {
                    "loss": loss,
                    "lr": self.run.recipe.lr * taken.multiplier,
                    "grad_norm": taken.norm.item(),
                }
                units = (step + 1) * self.run.recipe.batch_units
                self._log.append(step=step, **row, units=units, skipped=taken.skipped)
                for tracker in self._trackers:
                    tracker.log(step, row)
            lost = not math.isfinite(loss) and taken.skipped is None
            if lost or self.skipping.exhausted:
                self.diverged, self.step = True, step + 1
                break
        unread.clear()
        return loss

    def _resume(self, environment: dict[str, Any]) -> Progress:
        """Load the checkpoint if there is a usable one; say so if going on is not exact."""
        key, trainee = self.run.key, self.trainee
        found = self._checkpoints.load(key, trainee.model, trainee.optimizer)
        if found is None:
            return Progress(key, step=0, seconds=0.0, exact=True, environment=environment)
        changed = differences(found.environment, environment)
        if self._device.type != "cpu":
            changed.append("a GPU's sums have no fixed order")
        if changed and self.ranks.rank == 0:
            logger.warning(
                "run %s: goes on at step %d, but not bit for bit: %s",
                key,
                found.step,
                ", ".join(changed),
            )
        exact = found.exact and not changed
        return dataclasses.replace(found, exact=exact, environment=environment)

    def _save(self) -> None:
        self.write_log()
        progress = dataclasses.replace(
            self.before,
            step=self.step,
            seconds=self.seconds,
            skipped=tuple(self.skipping.skipped),
            norms=self.skipping.norms,
        )
        self._checkpoints.save(progress, self.trainee.model, self.trainee.optimizer)
