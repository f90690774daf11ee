"""The training loop: one run from its first step, or its last checkpoint, to its result."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer
from windtunnel.optimizers.update_rule import Signal
from windtunnel.parametrization.groups import clip_gradients_
from windtunnel.scale import Run
from windtunnel.schedules import recipe_multiplier
from windtunnel.training.assemble import assemble
from windtunnel.training.batches import Batches, to_device
from windtunnel.training.checkpoint import Progress, load_checkpoint, save_checkpoint, save_weights
from windtunnel.training.device import cpu_threads
from windtunnel.training.environment import describe_environment, differences
from windtunnel.training.evaluation import validate
from windtunnel.training.metrics import MetricsLog
from windtunnel.training.result import RunResult, read_result, write_result
from windtunnel.training.signal import make_gradients_the_signal, signal_of, signal_seed

logger = logging.getLogger(__name__)

READ_SECONDS = 0.1  # between waits for a GPU's losses; on a CPU they are there at once
LOG_SECONDS = 1.0  # how far `metrics.jsonl` may lag behind the run


def train(
    run: Run,
    *,
    family: Family,
    batches: Batches,
    folder: Path,
    device: str = "cpu",
    threads: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int, float], object] = lambda step, steps, loss: None,
    checkpoint_seconds: float = 20.0,
    keep_weights: bool = False,
) -> RunResult | None:
    """Train one run to its end, from its checkpoint if there is one.

    A run that was stopped anywhere and goes on under the same threads, versions and CPU gives the
    losses of an undisturbed one, bit for bit; under others it goes on, and its result says
    `exact=False`. A run whose result is there is not trained again.

    Args:
        run: What to train.
        family: The run's family.
        batches: The run's data.
        folder: The run's own folder: `result.json`, `metrics.jsonl`, `checkpoint.safetensors`.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads of this run.
        should_stop: Asked after every step, before anything is written. When it turns true, a
            checkpoint is written and training ends. When it raises (a worker that lost its
            claim), nothing more is written.
        on_progress: Told of steps done, steps in all and the last loss, at every step on a CPU
            and at every 16th on a GPU; it should return quickly.
        checkpoint_seconds: Time between checkpoints.
        keep_weights: Write the trained model to `model.safetensors` as well; a search of many
            runs wants only their losses.

    Returns:
        The result, or None if `should_stop` ended the training before it was complete.

    Raises:
        WindtunnelError: The folder belongs to another run, or can't be written.
    """
    result = read_result(folder, run.key)
    if result is not None:
        return result
    with cpu_threads(threads):
        session = _Session(run, family, batches, folder, torch.device(device), threads)
        if not session.train(should_stop, on_progress, checkpoint_seconds):
            return None
        result = session.result()
        should_stop()  # raises, so that nothing is written, if the claim was lost meanwhile
        session.log.write()
        if keep_weights:
            save_weights(folder / "model.safetensors", session.trainee.model)
    write_result(folder, result)
    session.checkpoint.unlink(missing_ok=True)
    return result


class _Session:
    """One process's part of a run: from the first step, or the checkpoint, to a stop or the end."""

    def __init__(
        self,
        run: Run,
        family: Family,
        batches: Batches,
        folder: Path,
        device: torch.device,
        threads: int,
    ) -> None:
        self.run, self.family, self.batches, self.device = run, family, batches, device
        self.sequences, remainder = divmod(run.recipe.batch_units, run.data.sequence_length)
        if remainder or not self.sequences:
            raise WindtunnelError(
                f"recipe.batch: {run.recipe.batch_units:,} is no whole number of sequences of "
                f"{run.data.sequence_length:,}; change one of them."
            )
        self.precision: AbstractContextManager[object] = contextlib.nullcontext()
        if run.precision == "bf16":
            self.precision = torch.autocast(device.type, dtype=torch.bfloat16)
        self.checkpoint = folder / "checkpoint.safetensors"
        self.started = time.perf_counter()
        self.trainee = assemble(run, family, device)
        self.signal = signal_of(run, family)
        self.before = self._resume(describe_environment(device, threads, run.precision))
        self.step = self.before.step
        self.diverged = False
        self.log = MetricsLog(folder / "metrics.jsonl", self.step)

    def train(
        self,
        should_stop: Callable[[], bool],
        on_progress: Callable[[int, int, float], object],
        checkpoint_seconds: float,
    ) -> bool:
        """Take the steps that are left; False if asked to stop before the run was complete."""
        steps, on_cpu = self.run.steps, self.device.type == "cpu"
        unread: list[tuple[float, Tensor, Tensor]] = []
        read_at = logged_at = saved_at = time.monotonic()
        while self.step < steps and not self.diverged:
            unread.append(self._advance())
            self.step += 1
            now = time.monotonic()
            if not (on_cpu or now - read_at >= READ_SECONDS or self.step == steps):
                continue
            loss = self._read(unread)
            on_progress(self.step, steps, loss)
            stop, now = should_stop(), time.monotonic()
            read_at = now
            if not self.diverged and (stop or now - saved_at >= checkpoint_seconds):
                self._save()
                if stop:
                    return False
                saved_at = logged_at = now
            elif now - logged_at >= LOG_SECONDS:
                self.log.write(durable=False)
                logged_at = now
        return True

    def result(self) -> RunResult:
        """Validate, and say what the run came to."""
        loss, loss_se = math.nan, None
        if not self.diverged:
            loss, loss_se = validate(
                self.trainee.model,
                family=self.family,
                batches=self.batches,
                sequences=self.run.data.validation_sequences,
                precision=self.precision,
            )
        finished = math.isfinite(loss)
        scale, length = self.run.scale, self.run.data.sequence_length
        units = self.step * self.run.recipe.batch_units
        looks = 0 if self.signal is None else self.step // self.signal.every
        count = self.family.parameter_count(scale)
        return RunResult(
            key=self.run.key,
            status="finished" if finished else "diverged",
            loss=loss if finished else None,
            loss_se=loss_se if finished else None,
            units=units,
            steps=self.step,
            flops=self.family.flops_per_unit(scale, length)
            * (units + looks * self.run.recipe.batch_units),
            params=count.total,
            params_non_embedding=count.non_embedding,
            seconds=self._seconds(),
            exact=self.before.exact,
            environment=self.before.environment,
        )

    def _advance(self) -> tuple[float, Tensor, Tensor]:
        """Take one optimizer step; schedule's multiplier, loss and gradient norm, not yet read."""
        run, recipe, trainee = self.run, self.run.recipe, self.trainee
        arrays = self.batches.training(self.step, run.data_seed, self.sequences)
        multiplier = recipe_multiplier(recipe, self.step, run.steps)
        for group, rate in zip(trainee.optimizer.param_groups, trainee.peak_rates, strict=True):
            group["lr"] = rate * multiplier
        with self.precision:
            loss = self.family.loss(trainee.model, to_device(arrays, self.device))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients_(trainee.model, trainee.plan, recipe.clip_norm)
        trainee.optimizer.step()
        if self.signal is not None and (self.step + 1) % self.signal.every == 0:
            self._give_signal(self.signal)
        trainee.optimizer.zero_grad(set_to_none=True)
        return multiplier, loss.detach(), norm

    def _give_signal(self, signal: Signal) -> None:
        """Let the optimizer look at the curvature, on a batch of no step."""
        run, trainee = self.run, self.trainee
        arrays = self.batches.training(self.step, signal_seed(run), self.sequences)
        batch = to_device(arrays, self.device)
        with self.precision:
            make_gradients_the_signal(signal, run, self.step, self.family, trainee.model, batch)
        clip_gradients_(trainee.model, trainee.plan, run.recipe.clip_norm)
        cast(RuleOptimizer, trainee.optimizer).observe()

    def _read(self, unread: list[tuple[float, Tensor, Tensor]]) -> float:
        """Log the steps not yet read, up to the first whose loss is not finite; the last loss."""
        loss, first = math.nan, self.step - len(unread)
        for step, (multiplier, loss_tensor, norm) in enumerate(unread, start=first):
            loss = loss_tensor.item()
            self.log.append(
                step=step,
                loss=loss,
                lr=self.run.recipe.lr * multiplier,
                grad_norm=norm.item(),
                units=(step + 1) * self.run.recipe.batch_units,
            )
            if not math.isfinite(loss):
                self.diverged, self.step = True, step + 1
                break
        unread.clear()
        return loss

    def _resume(self, environment: dict[str, Any]) -> Progress:
        """Load the checkpoint if there is a usable one; say so if going on is not exact."""
        key, trainee = self.run.key, self.trainee
        found = load_checkpoint(self.checkpoint, key, trainee.model, trainee.optimizer)
        if found is None:
            return Progress(key, step=0, seconds=0.0, exact=True, environment=environment)
        changed = differences(found.environment, environment)
        if self.device.type != "cpu":
            changed.append("a GPU's sums have no fixed order")
        if changed:
            logger.warning(
                "%s: goes on at step %d, but not bit for bit: %s",
                self.checkpoint,
                found.step,
                ", ".join(changed),
            )
        exact = found.exact and not changed
        return dataclasses.replace(found, exact=exact, environment=environment)

    def _save(self) -> None:
        self.log.write()
        progress = dataclasses.replace(self.before, step=self.step, seconds=self._seconds())
        save_checkpoint(self.checkpoint, progress, self.trainee.model, self.trainee.optimizer)

    def _seconds(self) -> float:
        return self.before.seconds + time.perf_counter() - self.started
