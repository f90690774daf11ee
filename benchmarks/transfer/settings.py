"""What is swept: rules with their optimizers, sizes, and the rates each sweep begins with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from windtunnel.scale import Recipe, Scale

RATES = 7  # a factor of two apart
SEEDS = (0, 1, 2)  # of the weights and of the order of the data together
MOST_ADDED = 4  # rates added on one side of a sweep whose best lies at its edge


@dataclass(frozen=True)
class Arm:
    """One rule with its optimizer, as people read it in the table.

    Attributes:
        name: What the table calls it.
        rule: Name of the rule.
        optimizer: Name of the optimizer.
        options: Options of the family beside the setting's own.
        centre: Log2 of the rate in the middle of the base's sweep.
        along_width: By how many octaves that middle moves in one octave of width.
        along_depth: The same for depth.
        clip_norm: Largest gradient norm; 0 for none.
    """

    name: str
    rule: str
    optimizer: str = "adamw"
    options: dict[str, Any] = field(default_factory=dict)
    centre: float = -6.0
    along_width: float = 0.0
    along_depth: float = 0.0
    clip_norm: float = 1.0


# Where sweeps begin is a guess that saves runs and decides nothing: see `sweeps.rates`.
# Unit-scaled gradients have entries of order one, so norms of 500 and more: clipping them at one
# would replace every gradient by its direction. The others' norms begin below one.
ARMS = (
    Arm("sp", "sp", along_width=-0.7),
    Arm("mup", "mup"),
    Arm("completep", "completep"),
    Arm("sp-full-alignment", "sp-full-alignment"),
    Arm("u-mup", "u-mup", options={"unit_scaled": True}, centre=-4.0, clip_norm=0.0),
    Arm("spectral-muon", "spectral", optimizer="muon", centre=-5.0),
)


@dataclass(frozen=True)
class Setting:
    """Sizes, lengths and the machine they are made for.

    Attributes:
        name: Of its results.
        base: Where every sweep's rate is quoted.
        widths: At the base's depth.
        depths: At the base's width.
        sequence_length: Tokens.
        batch: Tokens a step.
        head_size: The family's.
        validation_sequences: Sequences of the held-out text.
        device: As torch names it.
        precision: `fp32` or `bf16`.
    """

    name: str
    base: Scale
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    sequence_length: int
    batch: int
    head_size: int
    validation_sequences: int
    device: str = "cpu"
    precision: str = "fp32"

    def scales(self) -> tuple[Scale, ...]:
        """Every size once, widths first, from small to large."""
        wide = [self.base.replace(width=width) for width in self.widths]
        deep = [self.base.replace(depth=depth) for depth in self.depths]
        return tuple(dict.fromkeys([*wide, *deep]))

    def axis(self, name: str) -> dict[int, Scale]:
        """The sizes along `width` or `depth`."""
        sizes = self.widths if name == "width" else self.depths
        return {size: self.base.replace(**{name: size}) for size in sizes}

    def recipe(self, arm: Arm, log2_lr: int) -> Recipe:
        """The recipe at base."""
        return Recipe(lr=2.0**log2_lr, batch_units=self.batch, clip_norm=arm.clip_norm)

    def centre(self, arm: Arm, scale: Scale) -> int:
        """Log2 of the rate in the middle of the sweep."""
        wider = math.log2(scale.width / self.base.width)
        deeper = math.log2(scale.depth / self.base.depth)
        return round(arm.centre + arm.along_width * wider + arm.along_depth * deeper)

    def seconds(self, arm: Arm, scale: Scale) -> float:
        """About how long one run takes on one core of the CPU this was written on."""
        per_token = 1e-6 * {32: 14, 64: 29, 128: 75, 256: 250}.get(scale.width, scale.width)
        per_step = 0.0
        if arm.optimizer == "muon":
            per_step = {32: 0.002, 64: 0.006, 128: 0.05, 256: 0.33}.get(scale.width, 0.0)
        validation = self.validation_sequences * self.sequence_length / 3
        tokens = scale.units + validation
        return scale.depth / 2 * (per_token * tokens + per_step * scale.units / self.batch)


CPU = Setting(
    name="transfer",
    base=Scale(width=32, depth=2, units=65_536),
    widths=(32, 64, 128, 256),
    depths=(2, 4, 8, 16),
    sequence_length=64,
    batch=512,
    head_size=8,
    validation_sequences=256,
)
GPU = Setting(
    name="transfer_gpu",
    base=Scale(width=128, depth=4, units=4_194_304),
    widths=(128, 256, 512, 1024, 2048),
    depths=(4, 8, 16, 32),
    sequence_length=128,
    batch=8192,
    head_size=32,
    validation_sequences=1024,
    device="cuda",
    precision="bf16",
)
