"""Model-FLOPs utilisation: what share of its devices' peak a run made use of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from windtunnel.models.family import Family
from windtunnel.scale import Run
from windtunnel.training.peak_flops import PeakFlops, peak_flops

COUNTED = (
    "what the model needs, as its family counts it: for text three times the forward pass's "
    "matrix products, attention's full square and the head included; no elementwise work and "
    "nothing computed twice"
)


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Model-FLOPs utilisation (Chowdhery et al. 2022, arXiv 2204.02311, appendix B).

    Attributes:
        model_flops_per_second: Of all ranks together.
        peak_flops_per_second: Of all ranks together.
        peak_from: Where the peak is from.
        counted: What counts as the model's FLOPs.
    """

    model_flops_per_second: float
    peak_flops_per_second: float
    peak_from: str
    counted: str = COUNTED

    @property
    def share(self) -> float:
        """The first over the second, from 0 to about 1."""
        return self.model_flops_per_second / self.peak_flops_per_second

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values, the share too."""
        return {**dataclasses.asdict(self), "share": self.share}


def utilisation(
    *, units: int, seconds: float, flops_per_unit: float, peak: PeakFlops, ranks: int = 1
) -> Utilisation | None:
    """The utilisation of some training.

    Args:
        units: That all ranks trained on together, in those seconds.
        seconds: Spent in training steps: without building, validation and checkpoints.
        flops_per_unit: What the family says, `Family.flops_per_unit`.
        peak: Of one rank's device.
        ranks: Ranks on devices of that peak.

    Returns:
        None where no time was spent: nothing was trained.
    """
    if seconds <= 0:
        return None
    return Utilisation(
        model_flops_per_second=units * flops_per_unit / seconds,
        peak_flops_per_second=ranks * peak.flops_per_second,
        peak_from=peak.source if ranks == 1 else f"{peak.source}, times {ranks} ranks",
    )


def run_utilisation(
    run: Run, family: Family, *, steps: int, seconds: float, device: str, ranks: int = 1
) -> dict[str, Any] | None:
    """The utilisation of a run's steps, as its result has it.

    Args:
        run: The run.
        family: Its family.
        steps: How many were taken in those seconds.
        seconds: As for `utilisation`; of a member of a population, its share of them.
        device: `cpu`, `cuda` or `cuda:1`; a CPU with the threads that torch now uses.
        ranks: As for `utilisation`.
    """
    found = utilisation(
        units=steps * run.recipe.batch_units,
        seconds=seconds,
        flops_per_unit=family.flops_per_unit(run.scale, run.data.sequence_length),
        peak=peak_flops(device, run.precision, torch.get_num_threads()),
        ranks=ranks,
    )
    return None if found is None else found.to_json()
