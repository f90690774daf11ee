"""Which column is the metric to predict, and what sort of number it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from windtunnel.laws.reading.choice import Choice
from windtunnel.laws.reading.column_names import (
    FINAL_WORDS,
    LOSS_WORDS,
    METRIC_FILLERS,
    NORMALISED_WORDS,
    NOT_A_RESULT,
    SHARE_WORDS,
    TRAIN_WORDS,
    VALIDATION_WORDS,
)
from windtunnel.laws.reading.headings import Heading
from windtunnel.laws.table import Kind

_PREFERRED = ("nats", "perplexity", "bits", "bits per byte", "share")
_UNIT_KINDS: Mapping[str, tuple[Kind, str]] = {
    "nats": ("loss", "nats"),
    "bits": ("loss", "bits"),
    "bits per byte": ("loss", "bits per byte"),
    "perplexity": ("loss", "perplexity"),
    "accuracy": ("accuracy", "share"),
    "error": ("error", "share"),
    "normalised loss": ("normalised loss", "nats"),
}


def kind_and_unit(heading: Heading) -> tuple[Kind, str]:
    """What a metric's heading says of it; a loss in nats where it says nothing.

    The unit may be `perplexity`, which is turned into nats when the column is read.
    """
    words = frozenset(heading.words)
    if heading.unit is not None and heading.unit.name in _UNIT_KINDS:
        return _UNIT_KINDS[heading.unit.name]
    if words & NORMALISED_WORDS:
        return "normalised loss", "nats"
    if words & {"acc", "accuracy"}:
        return "accuracy", "share"
    if words & {"ppl", "perplexity"}:
        return "loss", "perplexity"
    if "bpb" in words or {"bits", "byte"} <= words:
        return "loss", "bits per byte"
    if "bits" in words:
        return "loss", "bits"
    if words & SHARE_WORDS and not words & LOSS_WORDS:
        return "error", "share"
    return "loss", "nats"


def choose_metric(headings: Mapping[str, Heading]) -> Choice:
    """Choose among numeric columns.

    A validation loss comes before a plain one, and a plain one before one on named data or in
    training; several that differ in the data they are measured on are all handed back. Accuracies
    and errors count only where there is no loss.
    """
    results = {
        text: heading
        for text, heading in headings.items()
        if not frozenset(heading.words) & NOT_A_RESULT
    }
    for names in (LOSS_WORDS, SHARE_WORDS):
        found = {
            text: heading
            for text, heading in results.items()
            if frozenset(heading.words) & names
            or (names is LOSS_WORDS and "cross entropy" in heading.phrase)
        }
        if found:
            return _best(found)
    weak = tuple(text for text, heading in results.items() if heading.phrase == "l")
    return Choice(weak, "its name fits, and nothing better is there")


def _best(found: Mapping[str, Heading]) -> Choice:
    data = {text: _data(heading) for text, heading in found.items()}
    validation = [text for text, words in data.items() if words & VALIDATION_WORDS]
    training = [text for text, words in data.items() if words & TRAIN_WORDS]
    plain = [text for text, words in data.items() if not words]
    named = [text for text in found if text not in {*validation, *training, *plain}]
    if validation:
        # A loss on named data is a validation loss too, though not called one.
        return _one_a_data_set([*validation, *named], found, data, "measured on held-out data")
    for texts, reason in (
        (plain, "the heading says it"),
        (named, "the only one but for training's" if training else "the only one"),
        (training, "the only one, though in training"),
    ):
        if texts:
            return _one_a_data_set(texts, found, data, reason)
    raise AssertionError("every heading is in one of the lists")


def _one_a_data_set(
    texts: Sequence[str],
    found: Mapping[str, Heading],
    data: Mapping[str, frozenset[str]],
    reason: str,
) -> Choice:
    """Of columns that differ in their unit alone, the one in nats."""
    by_data: dict[frozenset[str], list[str]] = {}
    for text in texts:
        by_data.setdefault(data[text], []).append(text)
    best: list[str] = []
    for same in by_data.values():
        rank = {text: _PREFERRED.index(kind_and_unit(found[text])[1]) for text in same}
        best += [text for text in same if rank[text] == min(rank.values())]
    return Choice(tuple(best), reason, tuple(text for text in found if text not in best))


def _data(heading: Heading) -> frozenset[str]:
    """Words that say what the loss was measured on."""
    return frozenset(heading.words) - (
        LOSS_WORDS | SHARE_WORDS | METRIC_FILLERS | FINAL_WORDS | NORMALISED_WORDS
    )
