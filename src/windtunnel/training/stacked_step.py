"""One step of a population: loss, gradients, clipping and update of all members at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from windtunnel.models.family import Batch
from windtunnel.models.stacked import Stacked
from windtunnel.optimizers.update_rule import At, Settings, UpdateRule
from windtunnel.training.slabs import Slab

# Elements of a member from which a kernel for each member is faster than ten operations for all:
# calling it takes some 40 microseconds, which are 3 ns an element.
KERNEL_ELEMENTS = 16_384
# Elements of a block; a rule keeps about ten temporary tensors of that many.
CACHED = 65_536


class StackedStep:
    """The members' parameters and state, and how they take a step.

    A step makes no decision on the CPU and reads nothing back from the device, so it can be
    captured in a CUDA graph. No member's numbers enter another's.

    Attributes:
        slabs: The parameters.
        alive: (members,) booleans; those whose loss was not finite are frozen.
        clip: (members,) largest global norm; 0 for none.
        count: Steps taken; a tensor on the device once a capture made it one.
    """

    def __init__(
        self,
        form: Stacked,
        slabs: Sequence[Slab],
        clip_norms: Sequence[float],
        precision: AbstractContextManager[object],
    ) -> None:
        """Start before the first step."""
        values = slabs[0].values
        self.form, self.slabs, self.precision = form, list(slabs), precision
        self.clip = torch.tensor(clip_norms, dtype=values.dtype, device=values.device)
        # Tensors, because a number would be copied to a GPU in every step.
        self._zero, self._one = self.clip.new_zeros(()), self.clip.new_ones(())
        self.alive = torch.ones(len(clip_norms), dtype=torch.bool, device=values.device)
        self.count: int | Tensor = 0
        self.parameters = self._views()

    def __call__(self, batch: Batch, multipliers: Tensor) -> tuple[Tensor, Tensor]:
        """Take a step.

        Args:
            batch: Inputs and targets that all members see.
            multipliers: The schedules', (members,), of the parameters' dtype.

        Returns:
            Losses before the step and gradient norms before clipping, in the rules' own gauge,
            (members,) each.
        """
        with self.precision:
            losses = self.form.losses(self.parameters, batch)
        found = torch.autograd.grad(losses.sum(), list(self.parameters.values()))
        gradients = dict(zip(self.parameters, found, strict=True))
        with torch.no_grad():
            losses = losses.detach()
            self.alive &= losses.isfinite()
            joined = [slab.joined(gradients) for slab in self.slabs]
            norms = self._norms(joined)
            # As `clip_gradients_` has it.
            coefficients = (self.clip / (norms + 1e-6)).clamp(max=1.0)
            coefficients = torch.where(self.clip > 0, coefficients, self._one)
            rates = torch.where(self.alive, multipliers, self._zero)
            self.count += 1
            for slab, gradient in zip(self.slabs, joined, strict=True):
                if _has_kernel(slab):
                    self._update_rows(slab, gradient, coefficients, rates)
                else:
                    self._update(slab, gradient, coefficients, rates)
        return losses, norms

    def losses_of_sequences(self, batch: Batch) -> Tensor:
        """Each member's mean loss of each sequence, (members, batch)."""
        with torch.no_grad(), self.precision:
            return self.form.sequence_losses(self.parameters, batch)

    def select(self, kept: Sequence[int]) -> None:
        """Keep these members, by index and in this order."""
        index = torch.tensor(kept, device=self.alive.device)
        for slab in self.slabs:
            slab.select(index)
        self.alive, self.clip = self.alive[index], self.clip[index]
        self.parameters = self._views()

    @torch.no_grad()
    def copy(self, source: int, target: int) -> None:
        """Put one member's parameters and optimizer state in the place of another's."""
        for slab in self.slabs:
            for held in (slab.values, *slab.state.values()):
                held[target] = held[source]
        self.alive[target] = self.alive[source]

    def held(self) -> list[Tensor]:
        """All that a step changes, but for the count where it is a number."""
        slabs = [tensor for slab in self.slabs for tensor in (slab.values, *slab.state.values())]
        return [*slabs, self.alive, *([self.count] if isinstance(self.count, Tensor) else [])]

    def _views(self) -> dict[str, Tensor]:
        """The parameters in the slabs' memory, as leaves of the graph of derivatives."""
        return {
            name: part.detach().requires_grad_()
            for slab in self.slabs
            for name, part in slab.parts(slab.values).items()
        }

    def _norms(self, gradients: Sequence[Tensor]) -> Tensor:
        norms = []
        for slab, gradient in zip(self.slabs, gradients, strict=True):
            flat = gradient.flatten(1)
            if slab.gauge is not None:
                flat = flat * slab.gauge
            norms.append(torch.linalg.vector_norm(flat, dim=1))
        total: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        return total

    def _update(self, slab: Slab, gradient: Tensor, factor: Tensor, rates: Tensor) -> None:
        shape = (len(rates), *(1 for _ in gradient.shape[1:]))
        alive, factor, rates = (value.view(shape) for value in (self.alive, factor, rates))
        at = replace(slab.at, step=self.count)
        for part in _blocks(slab):
            rows = part[:1]
            settings = {
                name: value[rows] if isinstance(value, Tensor) else value
                for name, value in slab.settings.items()
            }
            settings["lr"] = settings["lr"] * rates[rows]
            # NaN times zero is NaN: a frozen member's gradient is replaced, not multiplied.
            clipped = torch.where(alive[rows], gradient[part] * factor[rows], self._zero)
            state = {name: value[part] for name, value in slab.state.items()}
            update_(slab.values[part], clipped, state, slab.rule, settings, at)

    def _update_rows(self, slab: Slab, gradient: Tensor, factor: Tensor, rates: Tensor) -> None:
        """Member by member: a kernel that reads each number once beats all of them at once."""
        at, kernel = replace(slab.at, step=self.count), slab.rule.in_one_kernel
        assert kernel is not None
        members = zip(self.alive.tolist(), factor.tolist(), rates.tolist(), strict=True)
        numbers = {
            name: value.flatten().tolist() if isinstance(value, Tensor) else [value] * len(rates)
            for name, value in slab.settings.items()
        }
        for row, (alive, scale, rate) in enumerate(members):
            if not alive:
                continue
            clipped = gradient[row] if scale == 1.0 else gradient[row] * scale
            settings = {name: values[row] for name, values in numbers.items()}
            settings["lr"] *= rate
            state = {name: value[row] for name, value in slab.state.items()}
            kernel(slab.values[row], clipped, state, settings, at)


def update_(
    values: Tensor,
    gradient: Tensor,
    state: dict[str, Tensor],
    rule: UpdateRule,
    settings: Settings,
    at: At,
) -> None:
    """Apply a rule in place: a captured step finds everything where it was."""
    updated, after = rule.update(values, gradient, state, settings, at)
    values.copy_(updated)
    for name, value in after.items():
        state[name].copy_(value)


def _has_kernel(slab: Slab) -> bool:
    values = slab.values
    large = values.device.type == "cpu" and values.shape[1:].numel() >= KERNEL_ELEMENTS
    return large and slab.rule.in_one_kernel is not None


def _blocks(slab: Slab) -> list[tuple[slice, ...]]:
    """Parts of a slab that are updated one after the other: on a CPU what its cache can hold."""
    members = slab.values.shape[0]
    if not (slab.rule.elementwise and slab.values.device.type == "cpu"):
        return [(slice(None),)]
    elements = slab.values.shape[1]
    rows = max(1, CACHED // elements)
    return [
        (slice(row, row + rows), slice(column, column + CACHED))
        for row in range(0, members, rows)
        for column in range(0, elements, CACHED)
    ]
