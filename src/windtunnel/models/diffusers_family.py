"""Family `diffusers`: any size of a diffusion transformer or U-Net of Hugging Face's diffusers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import JSON, Batch, Declarations, ParameterCount
from windtunnel.scale import Scale

_STEPS = 1000  # of the noise schedule: Ho et al. 2020 (arXiv 2006.11239), section 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """How one class of diffusers grows, and what shapes can't tell about it.

    Attributes:
        widths: Options that follow width; the first is width itself, a list by its first entry.
        depth: The option that is depth.
        declarations: Blocks and branches.
    """

    widths: tuple[str, ...]
    depth: str
    declarations: Declarations


_MODELS = {
    "DiTTransformer2DModel": _Model(
        widths=("num_attention_heads",),
        depth="num_layers",
        declarations=Declarations(
            blocks="transformer_blocks.*",
            branch_outputs=(
                "transformer_blocks.*.attn1.to_out.0",
                "transformer_blocks.*.ff.net.2",
            ),
        ),
    ),
    # Its branches are in three stacks with skips between them, which no rule in depth is for.
    "UNet2DModel": _Model(
        widths=("block_out_channels",), depth="layers_per_block", declarations=Declarations()
    ),
}


@dataclass(frozen=True, slots=True)
class DiffusersFamily:
    """A class of diffusers at every width and depth, always untrained; heads keep their size.

    Width is the residual stream's channels (of a U-Net, those of its first level). Depth is the
    number of blocks (of a U-Net, of residual blocks a level).

    Attributes:
        model: `DiTTransformer2DModel` or `UNet2DModel`.
        config: The class's own options; the rest take its defaults.
        declared: Other declarations than the table's.
    """

    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    declared: Declarations | None = None

    name = "diffusers"

    def __post_init__(self) -> None:
        """Refuse a class whose sizes are not known.

        Raises:
            WindtunnelError: It is not in the table; the message names it.
        """
        if self.model not in _MODELS:
            raise WindtunnelError(
                f"family.options.model: '{self.model}' is none of {', '.join(sorted(_MODELS))}; "
                "give windtunnel a function build(width, depth) that makes it"
            )

    @property
    def declarations(self) -> Declarations:
        """Blocks and branches, where there is one stack of them."""
        return _MODELS[self.model].declarations if self.declared is None else self.declared

    def options(self) -> dict[str, JSON]:
        """The class and its options as given."""
        return {"model": self.model, "config": dict(self.config)}

    def build(self, scale: Scale) -> nn.Module:
        """Build the untrained model as diffusers draws it.

        Raises:
            WindtunnelError: The config's proportions give no whole sizes at this width.
        """
        model: nn.Module = _class(self.model)(**self.config_at(scale))
        return model

    def config_at(self, scale: Scale) -> dict[str, Any]:
        """The class's options at a scale.

        Raises:
            WindtunnelError: The config's proportions give no whole sizes at this width.
        """
        known = _MODELS[self.model]
        config = self._defaults() | dict(self.config)
        own = self._width(config)
        changed: dict[str, Any] = {known.depth: scale.depth}
        for name in known.widths:
            sizes = config[name] if isinstance(config[name], (list, tuple)) else [config[name]]
            step = math.lcm(*(own // math.gcd(own, size) for size in sizes))
            if scale.width < 1 or scale.width % step or scale.depth < 1:
                raise WindtunnelError(
                    f"scale: width {scale.width} and depth {scale.depth} give no whole {name} in "
                    f"the proportions of {own}; use a width that is a multiple of {step}"
                )
            grown = tuple(size * scale.width // own for size in sizes)
            changed[name] = grown if isinstance(config[name], (list, tuple)) else grown[0]
        return dict(self.config) | changed

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean squared error of the noise that the model sees in a batch, a value's.

        See `sequence_losses`.
        """
        return self.sequence_losses(model, batch).mean()

    def sequence_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean squared error of the predicted noise of each image, shape (batch,).

        Ho et al. 2020 (arXiv 2006.11239), algorithm 1, with their linear schedule. Times and noise
        come from torch's generator of the batch's device.

        Args:
            model: The model.
            batch: Images (batch, channels, height, width) of about unit size, and classes
                (batch,), which a model without classes does not read.
        """
        images, classes = batch
        times = torch.randint(_STEPS, (len(images),), device=images.device)
        noise = torch.randn_like(images)
        rates = torch.linspace(1e-4, 0.02, _STEPS, dtype=torch.float64, device=images.device)
        kept = torch.cumprod(1 - rates, dim=0)[times].to(images.dtype)[:, None, None, None]
        noisy = kept.sqrt() * images + (1 - kept).sqrt() * noise
        named = {"class_labels": classes} if self.model == "DiTTransformer2DModel" else {}
        predicted: Tensor = model(noisy, timestep=times, **named).sample
        # A model may predict a variance in further channels; this loss has no use for it.
        return (predicted[:, : images.shape[1]] - noise).square().flatten(1).mean(dim=1)

    def parameter_count(self, scale: Scale) -> ParameterCount:
        """Count on the meta device; the tables of classes count as embeddings."""
        with torch.device("meta"):
            model = self.build(scale)
        tables = (m.weight.numel() for m in model.modules() if isinstance(m, nn.Embedding))
        return ParameterCount(
            total=sum(p.numel() for p in model.parameters()), embedding=sum(tables)
        )

    def flops_per_unit(self, scale: Scale, sequence_length: int) -> float:
        """Training FLOPs an image: three times the forward pass's, counted on the meta device.

        Attention counts its full square of positions. The sequence's length follows from the
        config's `sample_size`; a U-Net without one is refused.

        Raises:
            WindtunnelError: The size of an image is not known.
        """
        from torch.utils.flop_counter import FlopCounterMode

        config = self._defaults() | self.config_at(scale)
        size = config.get("sample_size")
        if size is None:
            raise WindtunnelError("family.options.config.sample_size: needed to count FLOPs")
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            images = torch.empty(1, config["in_channels"], height, width)
            self.sequence_losses(self.build(scale), (images, torch.zeros(1, dtype=torch.long)))
        return 3.0 * float(counter.get_total_flops())

    def _defaults(self) -> dict[str, Any]:
        import inspect

        parameters = inspect.signature(_class(self.model).__init__).parameters
        return {
            name: each.default
            for name, each in parameters.items()
            if each.default is not inspect.Parameter.empty
        }

    def _width(self, config: dict[str, Any]) -> int:
        first = config[_MODELS[self.model].widths[0]]
        if isinstance(first, (list, tuple)):
            return int(first[0])
        return int(first * config["attention_head_dim"])


def _class(name: str) -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise WindtunnelError(
            "family 'diffusers': the package is missing; pip install 'windtunnel[vision]'"
        ) from error
    return getattr(diffusers, name)
