"""Corpora and batches: text in, token batches out, with NumPy alone."""

from __future__ import annotations

from windtunnel.data.batches import TokenBatches
from windtunnel.data.cache import default_cache
from windtunnel.data.corpus import Corpus, open_corpus

__all__ = ["Corpus", "TokenBatches", "default_cache", "open_corpus"]
