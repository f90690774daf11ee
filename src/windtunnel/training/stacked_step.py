"""One step of a population: loss, gradients, clipping and update of all members at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from windtunnel.models.family import Batch
from windtunnel.models.stacked import Stacked
from windtunnel.training.slabs import Slab


class StackedStep:
    """The members' parameters and state, and how they take a step.

    A step makes no decision on the CPU and reads nothing back from the device, so it can be
    captured in a CUDA graph. No member's numbers enter another's.

    Attributes:
        slabs: The parameters.
        alive: (members,) booleans; those whose loss was not finite are frozen.
        clip: (members,) largest global norm; 0 for none.
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
        self.alive = torch.ones(len(clip_norms), dtype=torch.bool, device=values.device)
        # On a GPU a tensor there, so that a captured step counts; on a CPU a number is quicker.
        self.count: int | Tensor = 0
        if values.device.type != "cpu":
            self.count = torch.zeros((), dtype=torch.float64, device=values.device)
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
            coefficients = torch.where(self.clip > 0, coefficients, 1.0)
            rates = torch.where(self.alive, multipliers, 0.0)
            self.count += 1
            for slab, gradient in zip(self.slabs, joined, strict=True):
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
        # NaN times zero is NaN: a frozen member's gradient is replaced, not multiplied.
        alive = self.alive.view(shape)
        gradient = torch.where(alive, gradient * factor.view(shape), 0.0)
        settings = slab.settings | {"lr": slab.settings["lr"] * rates.view(shape)}
        at = replace(slab.at, step=self.count)
        updated, after = slab.rule.update(slab.values, gradient, slab.state, settings, at)
        slab.values.copy_(updated)
        for name, value in after.items():
            slab.state[name].copy_(value)
