"""What else bounds a plan: the text there is, memory, devices and days."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from windtunnel.laws.deciding.cost import CostModel
from windtunnel.laws.deciding.device import Device
from windtunnel.laws.deciding.estimate import Estimate

# Up to about four epochs, repeated tokens are worth nearly what new ones are (Muennighoff et al.
# 2023, 2305.16264, section 6).
WORTHWHILE_EPOCHS = 4.0
# Mixed-precision AdamW: 2 + 2 bytes for BF16 weights and gradients, 4 for FP32 weights, 8 for the
# two moments (Rajbhandari et al. 2020, section 3.1); 2 more where gradients are kept in FP32.
TRAINING_BYTES = (16.0, 18.0)
SERVING_BYTES = 2.0  # BF16 weights


@dataclass(frozen=True, slots=True)
class Limits:
    """Whether a model fits what there is.

    Attributes:
        epochs: Times the unique tokens are read; None where their number was not given.
        training_bytes: Of weights, gradients and optimizer state together: a range, no 90 % one.
        serving_bytes: Of the weights alone.
        least_devices: That hold the training state, with nothing left for activations; None
            without a device.
        serving_devices: That hold the weights, with nothing left for the cache.
        days: On the devices there are; None where their number or the cost is not known.
        sentences: What is in the way, in words.
    """

    epochs: float | None
    training_bytes: tuple[float, float]
    serving_bytes: float
    least_devices: int | None
    serving_devices: int | None
    days: Estimate | None
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "epochs": self.epochs,
            "training_bytes": list(self.training_bytes),
            "serving_bytes": self.serving_bytes,
            "least_devices": self.least_devices,
            "serving_devices": self.serving_devices,
            "days": None if self.days is None else self.days.to_json(),
            "sentences": list(self.sentences),
        }


def check_limits(
    params: float,
    tokens: float,
    flops: float,
    *,
    unique_tokens: float | None = None,
    device: Device | None = None,
    devices: int | None = None,
    days: float | None = None,
    cost: CostModel | None = None,
) -> Limits:
    """Hold a model against the text, the memory, the devices and the days there are.

    Activations, the key-value cache, buffers and fragmentation are not modelled: they come on top
    of every number here.

    Args:
        params: All parameters.
        tokens: Training tokens.
        flops: Of training.
        unique_tokens: Text there is.
        device: Kind of device.
        devices: How many there are.
        days: How long they may run.
        cost: For the days that training takes.
    """
    said = []
    epochs = None if unique_tokens is None else tokens / unique_tokens
    if epochs is not None and epochs > WORTHWHILE_EPOCHS * (1 + 1e-3):
        said.append(
            f"the text would be read {epochs:.2g} times; beyond about {WORTHWHILE_EPOCHS:.0f} "
            "repeats are worth less than new text, which a law of repeated tokens "
            "(form data-constrained) would show"
        )
    low, high = (each * params for each in TRAINING_BYTES)
    least = serving = None
    if device is not None:
        least = math.ceil(low / device.memory)
        serving = math.ceil(SERVING_BYTES * params / device.memory)
        if devices is not None and devices < least:
            said.append(
                f"weights, gradients and optimizer state need {low / 1e9:.3g} to {high / 1e9:.3g} "
                f"GB, more than {devices} x {device.memory / 1e9:.3g} GB; use at least {least} "
                "devices, and more for activations"
            )
    needed = None
    if cost is not None and devices is not None:
        needed = cost.hours(flops).through(lambda hours: hours / devices / 24)
        if days is not None and needed.value > days:
            said.append(
                f"{devices} devices take {needed.value:.3g} days ({needed.ci90[0]:.3g} to "
                f"{needed.ci90[1]:.3g}), more than the {days:.3g} there are; plan for "
                f"{cost.flops_of_hours(24 * days * devices):.2g} FLOPs"
            )
    return Limits(epochs, (low, high), SERVING_BYTES * params, least, serving, needed, tuple(said))
