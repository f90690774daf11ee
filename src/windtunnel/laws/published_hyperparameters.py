"""Published power laws of hyperparameters, as data: to compare with, never to trust unseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.solver import Array


@dataclass(frozen=True, slots=True)
class PublishedLaw:
    """constant * product of input^exponent.

    Attributes:
        name: As people type it.
        hyperparameter: What it gives, with its unit.
        constant: Factor, in these units.
        exponents: Input to exponent.
        ranges: Least and greatest of each input it was fitted on, where the source says.
        holds_for: What else must be as it was there.
        source: Paper or code.
        certainty: `read` in the authors' code or paper, `computed` by us from their data,
            `recalled` and agreed with by reading notes.
        most: Greatest value the law is clipped to.
    """

    name: str
    hyperparameter: str
    constant: float
    exponents: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    holds_for: str
    source: str
    certainty: str
    most: float = np.inf

    def __call__(self, inputs: Mapping[str, Array]) -> Array:
        """(n,) the hyperparameter.

        Raises:
            WindtunnelError: An input is missing.
        """
        missing = [name for name in self.exponents if name not in inputs]
        if missing:
            raise WindtunnelError(
                f"{self.name}: it needs {', '.join(self.exponents)}; {missing[0]} is missing"
            )
        logs = sum(power * np.log(inputs[name]) for name, power in self.exponents.items())
        return np.asarray(np.minimum(self.constant * np.exp(logs), self.most))

    def outside(self, inputs: Mapping[str, float]) -> tuple[str, ...]:
        """Inputs that lie outside what the law was fitted on."""
        return tuple(
            name
            for name, (least, most) in self.ranges.items()
            if name in inputs and not least <= inputs[name] <= most
        )


_STEP_LAW_RANGES = {"params": (0.21e9, 1.07e9), "tokens": (4e9, 100e9)}
_STEP_LAW = "dense models, AdamW, cosine to 1e-5; params without the vocabulary's"
_STEP_LAW_SOURCE = "Li et al. 2025, Step Law (2503.04715), released bootstrap fits @ 32a8f4cc"
_REFIT_SOURCE = "the released runs of Step Law @ 32a8f4cc, fitted again (129 runs, least squares)"
_OLMO = "parameters without embeddings, about 20 tokens each, AdamW, warm-up of one token each"
_OLMO_SOURCE = "allenai/OLMo-core model_ladder @ fa6c5014"

PUBLISHED_LAWS = (
    PublishedLaw(
        "step-law-lr",
        "learning rate",
        1.79,
        {"params": -0.713, "tokens": 0.307},
        _STEP_LAW_RANGES,
        _STEP_LAW,
        _STEP_LAW_SOURCE,
        "read; their own script on their own runs gives another law (upstream issue 10, open)",
    ),
    PublishedLaw(
        "step-law-batch",
        "tokens a step",
        0.58,
        {"tokens": 0.571},
        _STEP_LAW_RANGES,
        _STEP_LAW,
        _STEP_LAW_SOURCE,
        "read",
    ),
    PublishedLaw(
        "step-law-refit-lr",
        "learning rate",
        float(np.exp(4.353)),
        {"params": -0.766, "tokens": 0.197},
        _STEP_LAW_RANGES,
        _STEP_LAW,
        _REFIT_SOURCE,
        "computed",
    ),
    PublishedLaw(
        "step-law-refit-batch",
        "tokens a step",
        float(np.exp(3.443)),
        {"params": -0.266, "tokens": 0.623},
        _STEP_LAW_RANGES,
        _STEP_LAW,
        _REFIT_SOURCE,
        "computed",
    ),
    PublishedLaw(
        "minicpm-batch",
        "tokens a step",
        1.21e9,
        {"loss": -6.24},
        {},
        "C4 loss aimed at; peak rate .01 under muP, .04e9 to 2.1e9 parameters",
        "Hu et al. 2024, MiniCPM (2404.06395)",
        "recalled",
    ),
    PublishedLaw(
        "power-lr",
        "learning rate",
        4.0,
        {"batch_sequences": 1.0, "tokens": -0.51},
        {"tokens": (2e9, 256e9), "batch_sequences": (16, 512)},
        "sequences of 4,096 tokens, muP of base width 256, AdamW, decay to 0 at the end",
        "Shen et al. 2024, Power Scheduler (2408.13359)",
        "read",
        most=0.02,
    ),
    PublishedLaw(
        "olmo-lr",
        "learning rate",
        0.5 * 0.0047 * 1.08e8 ** (1 / 3),
        {"params": -1 / 3},
        {},
        _OLMO,
        _OLMO_SOURCE,
        "read",
    ),
    PublishedLaw(
        "olmo-batch",
        "tokens a step",
        2048 * 160 * 1.08e8 ** (-2 / 3),
        {"params": 2 / 3},
        {},
        _OLMO,
        _OLMO_SOURCE,
        "read",
    ),
    PublishedLaw(
        "kaplan-batch",
        "tokens a step",
        2e8,
        {"loss": -1 / 0.21},
        {},
        "critical batch: twice the least tokens at twice the least steps; WebText2",
        "Kaplan et al. 2020 (2001.08361), 1.4",
        "recalled",
    ),
)
