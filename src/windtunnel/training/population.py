"""Many runs on one device: their parameters stacked, every step taken for all of them at once."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.models.stacked import stacked
from windtunnel.scale import Run
from windtunnel.training.batches import Batches, to_device
from windtunnel.training.captured_step import CapturedStep
from windtunnel.training.environment import describe_environment
from windtunnel.training.members import (
    Member,
    drawn_members,
    member_result,
    refuse_strangers,
)
from windtunnel.training.multipliers import Multipliers
from windtunnel.training.portions import whole_sequences
from windtunnel.training.promotion import MetricsRow, write_member
from windtunnel.training.result import RunResult
from windtunnel.training.slabs import slabs
from windtunnel.training.stacked_step import StackedStep

READ_SECONDS = 0.1  # as in the loop of one run
COMPACT_SHARE = 8  # frozen members are dropped once they are one in this many


class Population:
    """Runs that differ in their recipes, rules and initial seeds, trained at once.

    All see the same batches, so comparisons between them are paired. Each has the losses of its
    single run, to rounding; the sums of a product are added up in another order.

    Attributes:
        members: The runs in training, in the stack's order.
        left: Those that were stopped or diverged and were taken out of the stack.
        step: Steps taken.
        steps: Steps of a whole run.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        family: Family,
        batches: Batches,
        device: str = "cpu",
        capture: bool = False,
    ) -> None:
        """Draw every member as its own run would.

        Args:
            runs: The members.
            family: Their family.
            batches: Their data.
            device: `cpu`, `cuda` or `cuda:1`.
            capture: Whether a GPU takes each step as one CUDA graph.

        Raises:
            WindtunnelError: The runs differ in something that a population shares, or can't be
                stacked; the message names it.
        """
        started = time.perf_counter()
        refuse_strangers(runs)
        self.family, self.batches, self.device = family, batches, torch.device(device)
        first = runs[0]
        self._sequences = whole_sequences(first)
        precision: AbstractContextManager[object] = contextlib.nullcontext()
        if first.precision == "bf16":
            precision = torch.autocast(self.device.type, dtype=torch.bfloat16)
        self.members = [Member(run) for run in runs]
        self.left: list[Member] = []
        self.step, self.steps = 0, first.steps
        self._stack = StackedStep(
            stacked(family, first.scale),
            slabs(drawn_members(runs, family), self.device),
            [run.recipe.clip_norm for run in runs],
            precision,
        )
        self._multipliers = Multipliers([run.recipe for run in runs], self.steps)
        self._capture = capture and self.device.type == "cuda"
        self._captured: CapturedStep | None = None
        self._unread: list[tuple[Tensor, Tensor, list[float]]] = []
        self._share(time.perf_counter() - started)

    def advance(self) -> None:
        """Take one step of all members; its losses are read later."""
        batch = to_device(
            self.batches.training(self.step, self.members[0].run.data_seed, self._sequences),
            self.device,
        )
        multipliers = self._multipliers.at(self.step)
        given = torch.tensor(multipliers, dtype=self._stack.clip.dtype)
        given = given.to(self.device, non_blocking=True)
        if self._capture and self._captured is None:
            self._captured = CapturedStep(self._stack, batch, given)
        losses, norms = (self._captured or self._stack)(batch, given)
        self._unread.append((losses, norms, multipliers))
        self.step += 1

    def train(
        self,
        until: int | None = None,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int, list[float]], object] = lambda step, steps, losses: None,
    ) -> bool:
        """Take steps until that one, by default the last, or until no member is left.

        Members that diverge freeze alone, and are taken out now and then.

        Args:
            until: Number of steps that shall have been taken.
            should_stop: Asked whenever losses have been read: every step on a CPU.
            on_progress: Told of steps done, steps in all and the members' last losses.

        Returns:
            False if asked to stop before.
        """
        end = self.steps if until is None else min(until, self.steps)
        on_cpu, read_at = self.device.type == "cpu", time.monotonic()
        began = time.perf_counter()
        while self.step < end and self.members:
            self.advance()
            now = time.monotonic()
            if not (on_cpu or now - read_at >= READ_SECONDS or self.step == end):
                continue
            self.read()
            self._share(time.perf_counter() - began, stepping=True)
            read_at, began = now, time.perf_counter()
            on_progress(self.step, self.steps, [member.rows[-1].loss for member in self.members])
            frozen = [member.run for member in self.members if member.diverged]
            if frozen and (COMPACT_SHARE * len(frozen) >= len(self.members) or self.step == end):
                self.stop(frozen)
            if should_stop() and self.step < end:
                return False
        return True

    def read(self) -> None:
        """Read the losses of the steps taken since the last time; waits for the device."""
        if not self._unread:
            return
        # All in one tensor: one transfer from a GPU.
        both = torch.stack([torch.stack((losses, norms)) for losses, norms, _ in self._unread])
        first = self.step - len(self._unread)
        for step, (losses, norms) in enumerate(both.tolist(), start=first):
            multipliers = self._unread[step - first][2]
            rows = zip(self.members, losses, norms, multipliers, strict=True)
            for member, loss, norm, multiplier in rows:
                if not member.diverged:
                    lr = member.run.recipe.lr * multiplier
                    member.rows.append(MetricsRow(step, loss, lr, norm))
                    member.diverged = not math.isfinite(loss)
        self._unread.clear()

    def stop(self, runs: Sequence[Run]) -> None:
        """Take members out and close the gaps; the others go on as if nothing had happened.

        Raises:
            WindtunnelError: One of the runs is no member.
        """
        self.read()
        gone = {self._index(run) for run in runs}
        kept = [index for index in range(len(self.members)) if index not in gone]
        self.left += [self.members[index] for index in sorted(gone)]
        self.members = [self.members[index] for index in kept]
        if kept:
            self._captured = None
            self._stack.select(kept)
            self._multipliers.select(kept)

    def copy(self, source: Run, target: Run) -> None:
        """Let one member go on from another's weights and optimizer state, with its own recipe.

        Population-based training (Jaderberg et al. 2017, arXiv 1711.09846): a poor member takes
        a good one's place. It is no longer its own run from then on, and has no result as one.

        Raises:
            WindtunnelError: One of the runs is no member.
        """
        self.read()
        from_index, to_index = self._index(source), self._index(target)
        self._stack.copy(from_index, to_index)
        member = self.members[to_index]
        member.copied, member.diverged = True, self.members[from_index].diverged

    def promote(self, run: Run, folder: Path) -> None:
        """Write a member's checkpoint and log, so that `train(run, folder=folder)` goes on from it.

        The member stays; stop it if it shall go on as a run of its own alone. Its losses are
        equal to those of its single run to rounding only, so its result will say `exact=False`.

        Raises:
            WindtunnelError: The run is no member, diverged, or went on from another's weights.
        """
        self.read()
        index = self._index(run)
        member = self.members[index]
        if member.diverged:
            raise WindtunnelError(f"population: run {run.key} diverged; nothing goes on from it.")
        if member.copied:
            raise WindtunnelError(
                f"population: run {run.key} went on from another member's weights, so what it "
                "came to is not what that run would come to."
            )
        write_member(
            folder,
            run,
            family=self.family,
            rows=member.rows,
            parts=self._parts(index),
            seconds=member.seconds,
            environment=self._environment(run),
        )

    def parameters(self) -> dict[str, Tensor]:
        """The members' parameters by name, views of shape (members, ...)."""
        return {name: value.detach() for name, value in self._stack.parameters.items()}

    def losses(self) -> list[list[float]]:
        """Training loss of each member at each step so far; a copy's begin with its own."""
        self.read()
        return [[row.loss for row in member.rows] for member in self.members]

    def validate(self) -> Tensor:
        """Loss of each validation sequence, shape (members, sequences), float64, on the CPU."""
        count = self.members[0].run.data.validation_sequences
        return torch.cat(
            [
                self._stack.losses_of_sequences(to_device(batch, self.device)).double().cpu()
                for batch in self.batches.validation(count)
            ],
            dim=1,
        )

    def results(self) -> list[RunResult]:
        """Results of the members that finished, validated as single runs are, or diverged.

        Members that were stopped, or went on from another's weights, have none.

        Raises:
            WindtunnelError: Members have steps left.
        """
        self.read()
        began = time.perf_counter()
        if self.members and self.step < self.steps:
            raise WindtunnelError(
                f"population: {self.steps - self.step} steps are left; train, or stop the members."
            )
        measured = self.validate() if self.members else torch.empty(0, 0)
        self._share(time.perf_counter() - began)
        ended = [(member, None) for member in self.left if member.diverged]
        ended += zip(self.members, measured, strict=True)
        return [
            member_result(
                member, sequences, self.family, self._environment(member.run), self.device
            )
            for member, sequences in ended
            if not member.copied
        ]

    def _parts(self, index: int) -> dict[str, tuple[Tensor, dict[str, Tensor]]]:
        """One member's parameters, each with its optimizer state under the rule's names."""
        found: dict[str, tuple[Tensor, dict[str, Tensor]]] = {}
        for slab in self._stack.slabs:
            state = {name: slab.parts_of_state(value) for name, value in slab.state.items()}
            for name, value in slab.parts(slab.values).items():
                held = {part: values[name][index] for part, values in state.items()}
                found[name] = value[index], held
        return found

    def _environment(self, run: Run) -> dict[str, Any]:
        described = describe_environment(self.device, torch.get_num_threads(), run.precision)
        return described | {"population": len(self.members) + len(self.left)}

    def _share(self, seconds: float, *, stepping: bool = False) -> None:
        for member in self.members:
            member.seconds += seconds / len(self.members)
            member.stepping_seconds += seconds / len(self.members) if stepping else 0.0

    def _index(self, run: Run) -> int:
        for index, member in enumerate(self.members):
            if member.run == run:
                return index
        raise WindtunnelError(f"population: run {run.key} is no member, or not any more.")
