"""Family `transformers`: any size of a model that Hugging Face's transformers can build."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.architectures import ARCHITECTURES, Architecture
from windtunnel.models.family import JSON, Batch, Declarations, ParameterCount
from windtunnel.models.transformers_sizes import Heads, KeyValueHeads, sizes_at
from windtunnel.scale import Scale

_BUILDERS = {
    "causal-lm": "AutoModelForCausalLM",
    "masked-lm": "AutoModelForMaskedLM",
    "image-classification": "AutoModelForImageClassification",
}


@dataclass(frozen=True, slots=True)
class TransformersFamily:
    """The model of a transformers config at every width and depth, always untrained.

    Width is `hidden_size`; the other widths keep the config's proportions. Depth is
    `num_hidden_layers`; a list with an entry a layer goes on in its own pattern.

    Attributes:
        config: A config, its dictionary with `model_type`, or the path of a folder or of a
            `config.json`. No weights are read and nothing is downloaded.
        heads: `growing` keeps the head's size and lets the number of heads follow width; `fixed`
            keeps their number, and then the attention logits need a multiplier from the rule.
        key_value_heads: Where the number of heads grows, whether that of shared key and value
            heads is `proportional` to it or `fixed`.
        declared: What is known of a model type that `models/architectures.py` does not list.
    """

    config: Any
    heads: Heads = "growing"
    key_value_heads: KeyValueHeads = "proportional"
    declared: Declarations | None = None

    name = "transformers"

    def __post_init__(self) -> None:
        """Read the config and refuse what can't be scaled.

        Raises:
            WindtunnelError: The config can't be read or an option is wrong; the message names it.
        """
        object.__setattr__(self, "config", _read(self.config))
        options: tuple[tuple[str, Any], ...] = (
            ("heads", Heads),
            ("key_value_heads", KeyValueHeads),
        )
        for option, allowed in options:
            if getattr(self, option) not in get_args(allowed):
                raise WindtunnelError(
                    f"family.options.{option}: {getattr(self, option)!r} won't do; give "
                    f"{' or '.join(get_args(allowed))}"
                )
        if self.declared is None and self.config.model_type not in ARCHITECTURES:
            raise WindtunnelError(
                f"model_type '{self.config.model_type}': not one whose blocks are known "
                f"({', '.join(sorted(ARCHITECTURES))}); give TransformersFamily(config, "
                "declared=windtunnel.parametrization.branches.find_branches(model, inputs))"
            )
        if self.heads == "fixed" and not self.declarations.queries:
            raise WindtunnelError(
                f"family.options.heads: '{self.config.model_type}' has no queries that a "
                "multiplier can be put on alone (they share a matrix with keys and values, or its "
                "attention has a scale of its own); keep heads='growing'"
            )

    @staticmethod
    def from_options(options: dict[str, Any], *, vocabulary_size: int) -> TransformersFamily:
        """Build the family from a study's options; the vocabulary is the data's.

        Raises:
            WindtunnelError: An option is unknown or its value is wrong; the message names it.
        """
        known = ("config", "heads", "key_value_heads")
        for option in {*options} - {*known}:
            raise WindtunnelError(
                f"family.options.{option}: no such option; known options: {', '.join(known)}"
            )
        if "config" not in options:
            raise WindtunnelError("family.options.config: missing; give a config.json's path")
        family = TransformersFamily(**options)
        if family.architecture.task != "causal-lm":
            raise WindtunnelError(
                f"family.options.config: a '{family.config.model_type}' does not predict the next "
                "token, which is what a study trains; give a causal language model"
            )
        family.config.vocab_size = vocabulary_size
        family.config.pad_token_id = None  # it names a row of the config's own vocabulary
        return family

    @property
    def architecture(self) -> Architecture:
        """The table's entry; that of Llama's task for an unknown type."""
        return ARCHITECTURES.get(self.config.model_type, ARCHITECTURES["llama"])

    @property
    def declarations(self) -> Declarations:
        """The table's entry as declarations, or what was declared."""
        if self.declared is not None:
            return self.declared
        known = self.architecture

        def inside(name: str) -> str:
            return f"{known.blocks}.{name}"

        return Declarations(
            blocks=known.blocks,
            branch_outputs=tuple(inside(name) for name in known.branch_outputs),
            tied_head_gain=known.final_norm if self.tied else None,
            layouts=tuple((inside(name), layout) for name, layout in known.layouts),
            queries=tuple(inside(name) for name in known.queries),
            head_growth=1.0 if self.heads == "fixed" else 0.0,
            # A tied table can't be divided by what only the embedding is multiplied by.
            multipliers=() if self.tied else known.multipliers,
        )

    @property
    def tied(self) -> bool:
        """Whether the head reads the embedding table."""
        return bool(getattr(self.config, "tie_word_embeddings", False)) and not self._images

    def options(self) -> dict[str, JSON]:
        """The config as far as it differs from its type's default, and how heads grow."""
        config = self.config.to_diff_dict()
        config.pop("transformers_version", None)
        return {
            "config": config,
            "heads": self.heads,
            "key_value_heads": self.key_value_heads,
        }

    def build(self, scale: Scale) -> nn.Module:
        """Build the untrained model as transformers draws it, in torch's default precision.

        Raises:
            WindtunnelError: The config's proportions give no sizes that work at this width.
        """
        import transformers

        builder = getattr(transformers, _BUILDERS[self.architecture.task])
        model: nn.Module = builder.from_config(
            self.config_at(scale), dtype=torch.get_default_dtype()
        )
        return model

    def config_at(self, scale: Scale) -> Any:
        """The config at a scale.

        Raises:
            WindtunnelError: The config's proportions give no sizes that work at this width.
        """
        config = copy.deepcopy(self.config)
        sizes = sizes_at(
            config, scale.width, heads=self.heads, key_value_heads=self.key_value_heads
        )
        if scale.depth < 1:
            raise WindtunnelError(f"scale.depth: {scale.depth} layers; use 1 or more")
        for key, size in sizes.items():
            setattr(config, key, size)
        layers = config.num_hidden_layers
        for key, value in vars(self.config).items():
            if isinstance(value, list) and len(value) == layers and key.endswith("_types"):
                setattr(config, key, _continued(value, scale.depth))
        config.num_hidden_layers = scale.depth
        config.use_cache = False
        return config

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's own mean loss, an auxiliary one of its experts included.

        Inputs are token ids (batch, length) or images (batch, channels, height, width); targets
        are what each position is to predict (already shifted; -100 is left out), or classes.
        """
        targets = batch[1].contiguous()
        labels = {"labels": targets}
        if self.architecture.task == "causal-lm":
            labels["shift_labels"] = targets  # or the model would shift them once more
        loss: Tensor = model(**self._inputs(batch), **labels).loss
        return loss

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """What the model predicts: of every position, or of every image its class."""
        found: Tensor = model(**self._inputs(batch)).logits
        return found

    def sequence_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy of each sequence, or of each image, shape (batch,)."""
        _, targets = batch
        logits = self.logits(model, batch).float()
        losses = F.cross_entropy(
            logits.view(-1, logits.shape[-1]), targets.reshape(-1), reduction="none"
        )
        counted = (targets != -100).view(len(targets), -1)
        return losses.view_as(counted).sum(dim=1) / counted.sum(dim=1)

    def parameter_count(self, scale: Scale) -> ParameterCount:
        """Count on the meta device; a tied table counts once, as the head's."""
        with torch.device("meta"):
            model: Any = self.build(scale)
        table = 0 if self.tied or self._images else model.get_input_embeddings().weight.numel()
        return ParameterCount(total=sum(p.numel() for p in model.parameters()), embedding=table)

    def flops_per_unit(self, scale: Scale, sequence_length: int) -> float:
        """Training FLOPs a token (an image, where those are read): 3 times the forward pass's.

        Every matrix counts two a weight, experts as many as read one token, and attention its full
        square of positions, as in family `gpt`. The head of a classifier counts at each position.
        """
        with torch.device("meta"):
            model: Any = self.build(scale)
        config = self.config_at(scale)
        experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
        active = config.num_experts_per_tok / experts if experts else 1.0
        read = {
            table.weight
            for table in model.modules()
            if isinstance(table, nn.Embedding)
            and not (self.tied and table is model.get_input_embeddings())
        }
        matrices = sum(
            p.numel() * (active if p.ndim == 3 else 1.0)
            for p in model.parameters()
            if p.ndim > 1 and p.shape[0] > 1 and p not in read
        )
        length = sequence_length
        if self._images:
            length = (config.image_size // config.patch_size) ** 2 + 1
        heads = config.num_attention_heads
        channels = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        a_position = 6.0 * (matrices + scale.depth * 2 * length * channels)
        return float(a_position * length if self._images else a_position)

    @property
    def _images(self) -> bool:
        return self.architecture.task == "image-classification"

    def _inputs(self, batch: Batch) -> dict[str, Tensor]:
        return {"pixel_values" if self._images else "input_ids": batch[0]}


def _read(config: Any) -> Any:
    """A config of transformers, from one, its dictionary or its file."""
    try:
        import transformers
    except ImportError as error:
        raise WindtunnelError(
            "family 'transformers': the package is missing; pip install 'windtunnel[hf]'"
        ) from error
    if isinstance(config, transformers.PretrainedConfig):
        return copy.deepcopy(config)
    try:
        if isinstance(config, dict):
            fields = dict(config)
            return transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
        if not Path(config).exists():
            raise WindtunnelError(
                f"family.options.config: there is no '{config}' here, and nothing is downloaded; "
                "give the path of a config.json"
            )
        return transformers.AutoConfig.from_pretrained(config, local_files_only=True)
    except WindtunnelError:
        raise
    except Exception as error:  # transformers checks values with exceptions of its own
        raise WindtunnelError(
            f"family.options.config: transformers reads no config from it ({error}); give a config "
            "with a known model_type and valid sizes"
        ) from error


def _continued(layers: list[Any], depth: int) -> list[Any]:
    """A list with an entry a layer, for another number of layers: its shortest period repeats."""
    period = next(
        p
        for p in range(1, len(layers) + 1)
        if all(layers[i] == layers[i % p] for i in range(len(layers)))
    )
    return [layers[i % period] for i in range(depth)]
