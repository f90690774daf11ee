"""Batches of token sequences: training batch k is a pure function of (data_seed, k)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from windtunnel.data.corpus import Corpus
from windtunnel.data.tokenizers import Tokens
from windtunnel.errors import WindtunnelError

VALIDATION_BATCH = 32
"""Most sequences in one validation batch."""

TokenBatch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Inputs and targets, each (sequences, sequence_length); targets are one token further on."""


class TokenBatches:
    """Cuts a corpus into training and validation batches.

    Args:
        corpus: The tokens.
        sequence_length: Tokens in one sequence.

    Raises:
        WindtunnelError: A side of the corpus is shorter than one sequence.
    """

    def __init__(self, corpus: Corpus, sequence_length: int) -> None:
        """Prepare views; no token is read or copied yet."""
        self._training = _windows(corpus.training, sequence_length)
        self._validation = _windows(corpus.validation, sequence_length)[::sequence_length]

    def training(self, k: int, data_seed: int, sequences: int) -> TokenBatch:
        """Batch k: windows that begin anywhere in the training tokens, with replacement.

        The draw uses the raw words of PCG64 seeded by (data_seed, k), which NumPy promises never
        to change, so that a run can be repeated under another NumPy. Taking the remainder favours
        early windows by less than 1 in 2**30 for any corpus that fits on a disk.

        Args:
            k: Number of the batch, from 0.
            data_seed: Seed of the batches, not negative.
            sequences: Sequences in the batch.

        Returns:
            Inputs and targets, each `int64` of shape (sequences, sequence_length).
        """
        words = np.random.PCG64(np.random.SeedSequence((data_seed, k))).random_raw(sequences)
        return _batch(self._training[words % np.uint64(len(self._training))])

    def validation(self, count: int) -> Iterator[TokenBatch]:
        """The fixed validation set, at most 32 sequences at a time.

        Sequences are spread evenly over the validation tokens and no token is a target twice. Text
        too short for `count` of them gives as many as there are, which `Corpus.description` says.

        Args:
            count: Sequences in the set.

        Yields:
            Inputs and targets, each `int64` of shape (at most 32, sequence_length).
        """
        available = len(self._validation)
        chosen = np.arange(min(count, available)) * available // min(count, available)
        for start in range(0, len(chosen), VALIDATION_BATCH):
            yield _batch(self._validation[chosen[start : start + VALIDATION_BATCH]])


def _windows(tokens: Tokens, sequence_length: int) -> Tokens:
    """Every run of `sequence_length + 1` tokens, as a view."""
    if len(tokens) <= sequence_length:
        raise WindtunnelError(
            f"data.sequence_length: {sequence_length:,} is too long for {len(tokens):,} tokens."
        )
    # A plain array over the map: indexing np.memmap itself costs twice as much.
    return sliding_window_view(np.asarray(tokens), sequence_length + 1)


def _batch(windows: Tokens) -> TokenBatch:
    return windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)
