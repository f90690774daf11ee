"""Batches: pure, shifted by one, and a validation set that never moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.data.batches import VALIDATION_BATCH, TokenBatches
from windtunnel.data.corpus import Corpus
from windtunnel.errors import WindtunnelError

seeds = st.integers(0, 2**32)


def corpus(training: int = 5000, validation: int = 1000) -> Corpus:
    """Tokens that count up, so that a window's first token is where it begins."""
    return Corpus(
        training=np.arange(training, dtype=np.uint32),
        validation=np.arange(validation, dtype=np.uint32),
        content_hash="",
        vocabulary_size=max(training, validation),
        documents=1,
        description="",
    )


@given(st.integers(0, 10**6), seeds, st.integers(1, 9), st.integers(1, 40))
def test_batch_k_is_a_pure_function(k: int, seed: int, sequences: int, length: int) -> None:
    one, other = TokenBatches(corpus(), length), TokenBatches(corpus(), length)
    one.training(k + 1, seed, sequences)  # what was drawn before must not matter
    inputs, targets = one.training(k, seed, sequences)
    again = other.training(k, seed, sequences)
    assert np.array_equal(inputs, again[0])
    assert np.array_equal(targets, again[1])
    assert inputs.shape == targets.shape == (sequences, length)
    assert inputs.dtype == targets.dtype == np.int64
    assert inputs.flags.c_contiguous
    assert targets.flags.c_contiguous
    assert np.array_equal(targets, inputs + 1)  # the tokens count up


def test_draws_are_pinned() -> None:
    """PCG64's words are NumPy's promise for ever: a study can be repeated under another NumPy."""
    inputs, _ = TokenBatches(corpus(1005), 5).training(3, 7, 4)
    words = np.random.PCG64(np.random.SeedSequence([7, 3])).random_raw(4)
    assert inputs[:, 0].tolist() == [int(word) % 1000 for word in words]
    assert inputs[:, 0].tolist() == [670, 161, 542, 633]


def test_batches_differ_by_step_and_by_seed() -> None:
    batches = TokenBatches(corpus(), 8)
    firsts = {tuple(batches.training(k, seed, 8)[0][:, 0]) for k in range(20) for seed in range(20)}
    assert len(firsts) == 400


def test_every_window_can_be_drawn_and_none_more_often() -> None:
    batches = TokenBatches(corpus(training=14), 4)  # windows begin at 0 to 9
    starts = batches.training(0, 0, 100_000)[0][:, 0]
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10
    # Chi-square with 9 degrees of freedom: 33.7 is its 99.99 % point.
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 33.7


@given(st.integers(1, 300), st.integers(1, 50), st.integers(60, 2000))
def test_validation_is_fixed_spread_and_without_overlap(
    count: int, length: int, tokens: int
) -> None:
    batches = TokenBatches(corpus(validation=tokens), length)
    found = list(batches.validation(count))
    inputs = np.concatenate([batch[0] for batch in found])
    targets = np.concatenate([batch[1] for batch in found])
    available = (tokens - 1) // length
    assert len(inputs) == min(count, available)
    assert all(len(batch[0]) == VALIDATION_BATCH for batch in found[:-1])
    assert np.array_equal(targets, inputs + 1)
    assert len(np.unique(targets)) == targets.size  # no token is predicted twice
    gaps = np.diff(inputs[:, 0]) // length
    assert gaps.size == 0 or gaps.max() - gaps.min() <= 1  # evenly spread
    for before, after in zip(found, batches.validation(count), strict=True):
        assert np.array_equal(before[0], after[0])


def test_too_long_a_sequence_is_refused() -> None:
    TokenBatches(corpus(validation=11), 10)
    with pytest.raises(
        WindtunnelError, match=r"data.sequence_length: 11 is too long for 11 tokens"
    ):
        TokenBatches(corpus(validation=11), 11)
