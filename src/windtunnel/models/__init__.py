"""Model families by name. Importing this needs no torch; building a family does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import JSON, Batch, Declarations, Family, ParameterCount
from windtunnel.torch_version import require_torch

__all__ = [
    "JSON",
    "Batch",
    "Declarations",
    "Family",
    "ParameterCount",
    "build_family",
    "family_names",
]


def _gpt(options: dict[str, Any], vocabulary_size: int, sequence_length: int) -> Family:
    from windtunnel.models.gpt import GPTFamily

    return GPTFamily.from_options(options, vocabulary_size=vocabulary_size)


def _transformers(options: dict[str, Any], vocabulary_size: int, sequence_length: int) -> Family:
    from windtunnel.models.transformers_family import TransformersFamily

    family = TransformersFamily.from_options(options, vocabulary_size=vocabulary_size)
    limit = getattr(family.config, "max_position_embeddings", None)
    if limit is not None and sequence_length > limit:
        raise WindtunnelError(
            f"data.sequence_length: {sequence_length} is beyond the {limit} positions of "
            "family.options.config"
        )
    return family


_FAMILIES: dict[str, Callable[[dict[str, Any], int, int], Family]] = {
    "gpt": _gpt,
    "transformers": _transformers,
}


def family_names() -> tuple[str, ...]:
    """The built-in families, sorted."""
    return tuple(sorted(_FAMILIES))


def build_family(
    name: str, options: Mapping[str, JSON], *, vocabulary_size: int, sequence_length: int
) -> Family:
    """Look up a built-in family and give it its options and what it must know of the data.

    Args:
        name: A name from `family_names`.
        options: The family's own options; those left out take its defaults.
        vocabulary_size: Distinct tokens of the corpus.
        sequence_length: Tokens in one training sequence.

    Returns:
        The family.

    Raises:
        WindtunnelError: No such family or option, a bad value, or no usable PyTorch.
    """
    if name not in _FAMILIES:
        known = ", ".join(family_names())
        raise WindtunnelError(f"family.name: no family '{name}'; known families: {known}")
    require_torch()
    return _FAMILIES[name](dict(options), vocabulary_size, sequence_length)
