from __future__ import annotations

import numpy as np
import pytest

from windtunnel.data.batches import TokenBatches
from windtunnel.data.corpus import Corpus
from windtunnel.models import Family, build_family
from windtunnel.scale import DataIdentity, Recipe, Run, Scale

LENGTH = 16
SEQUENCES = 4
VOCABULARY = 32


@pytest.fixture(scope="session")
def family() -> Family:
    options = {"head_size": 4}
    return build_family("gpt", options, vocabulary_size=VOCABULARY, sequence_length=LENGTH)


@pytest.fixture(scope="session")
def batches() -> TokenBatches:
    """Text with something to learn: each token repeats the one before it, or is the next."""
    steps = np.random.default_rng(0).integers(0, 2, size=20_000)
    tokens = (np.cumsum(steps) % VOCABULARY).astype(np.uint8)
    corpus = Corpus(
        training=tokens[:16_000],
        validation=tokens[16_000:],
        content_hash="synthetic",
        vocabulary_size=VOCABULARY,
        documents=1,
        description="synthetic",
    )
    return TokenBatches(corpus, LENGTH)


@pytest.fixture
def run(family: Family) -> Run:
    """25 steps at twice the base width."""
    return Run(
        family=family.name,
        family_options=tuple(sorted(family.options().items())),
        optimizer="adamw",
        rule="mup",
        base=Scale(width=8, depth=1, units=640),
        scale=Scale(width=16, depth=1, units=25 * SEQUENCES * LENGTH),
        recipe=Recipe(lr=0.01, batch_units=SEQUENCES * LENGTH),
        data=DataIdentity("synthetic", sequence_length=LENGTH, validation_sequences=40),
        init_seed=3,
        data_seed=5,
    )
