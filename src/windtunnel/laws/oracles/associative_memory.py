"""Associative memories on heavy-tailed data: errors with known exponents in data and in width.

Cabannes et al. 2024 (Scaling Laws for Associative Memories, 2310.02984). The data exponent is
derived and exact; the capacity exponent is derived for few labels, recalled for the rest, and
holds up to logs: simulated slopes were -.60 for -.5 and -.95 for -1.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from windtunnel.errors import WindtunnelError
from windtunnel.laws.solver import Array


def frequencies(items: int, tail: float) -> Array:
    """(items,) p(x) ~ x^-tail.

    Raises:
        WindtunnelError: A tail of 1 or less, or no items.
    """
    if not (tail > 1 and items > 0):
        raise WindtunnelError(
            f"associative memory: {items} items with tail {tail:g}; give a tail above 1 and items"
        )
    weights = np.arange(1.0, items + 1) ** -tail
    return np.asarray(weights / weights.sum())


def data_exponent(tail: float) -> float:
    """Unseen mass after T samples falls as T^-(1 - 1 / tail)."""
    return 1 - 1 / tail


def capacity_exponent(tail: float) -> float:
    """The error of an unlimited sample falls as width^-(tail - 1), up to logs."""
    return tail - 1


def unseen_mass(tail: float, samples: Array, *, items: int | None = None) -> Array:
    """(n,) expected probability of an item that T samples did not contain: sum p (1 - p)^T.

    Args:
        tail: Of the frequencies.
        samples: (n,) T.
        items: How many there are; unlimited by default, as the integral that the sum tends to.
    """
    if items is None:
        # With p = c x^-tail the mass is, for T p at the tail's end far below 1,
        # c^(1 / tail) / tail * gamma(1 - 1 / tail) * T^-(1 - 1 / tail).
        constant = 1 / special.zeta(tail)
        share = constant ** (1 / tail) / tail * special.gamma(data_exponent(tail))
        return np.asarray(share * samples ** -data_exponent(tail))
    chance = frequencies(items, tail)
    return np.array([float(np.sum(chance * np.exp(t * np.log1p(-chance)))) for t in samples])


def missed_mass(
    tail: float, width: int, stored: int, *, items: int, labels: int, seed: int
) -> float:
    """Simulated error of a memory that holds the most frequent items with equal weight.

    W = sum_x u_y(x) e_x^T over the first `stored` items, random embeddings of variance 1 / width;
    the prediction is the label of the largest u_y^T W e_x. Take labels far below the width: else
    labels get in each other's way and the slope is too steep.

    Args:
        tail: Of the frequencies.
        width: d.
        stored: P, about width / 2 is best.
        items: N, far above the width.
        labels: M, drawn at random for each item.
        seed: Of embeddings and labels.
    """
    generator = np.random.default_rng(seed)
    chance = frequencies(items, tail)
    label = generator.integers(labels, size=items)
    item_vectors = generator.standard_normal((items, width)) / np.sqrt(width)
    label_vectors = generator.standard_normal((labels, width)) / np.sqrt(width)
    kept = slice(0, min(stored, items))
    memory = label_vectors[label[kept]].T @ item_vectors[kept]
    said = (item_vectors @ (label_vectors @ memory).T).argmax(axis=1)
    return float(chance[said != label].sum())


def error(tail: float, width: Array, samples: Array) -> Array:
    """width^-(tail - 1) + T^-(1 - 1 / tail): both limits at once, constants 1.

    The sum is the paper's scaling with its constants left out, so the form of the answer and its
    exponents are known exactly.
    """
    return np.asarray(width ** -capacity_exponent(tail) + samples ** -data_exponent(tail))
