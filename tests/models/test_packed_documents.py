"""With a separator, a document in a row of several is as it would be alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from windtunnel.data.tokenizers import byte_tokenizer
from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPT, GPTFamily
from windtunnel.models.packed_documents import (
    document_mask,
    document_numbers,
    document_positions,
)
from windtunnel.scale import Scale

SEPARATOR, VOCABULARY, SCALE = 0, 23, Scale(width=16, depth=2)
FAMILIES = {
    "plain": GPTFamily(vocabulary_size=VOCABULARY, head_size=4, separator=SEPARATOR),
    "every option": GPTFamily(
        vocabulary_size=VOCABULARY,
        head_size=4,
        separator=SEPARATOR,
        tied=True,
        query_groups=2,
        qk_norm=True,
        activation="relu2",
    ),
}


def built(family: GPTFamily) -> GPT:
    """A model in float64 of which no parameter is zero."""
    torch.manual_seed(1)
    model = family.build(SCALE).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def documents_of(*lengths: int) -> list[Tensor]:
    """Documents with as many tokens, the separator at the end of each included."""
    generator = torch.Generator().manual_seed(5)
    inner = (torch.randint(1, VOCABULARY, (n - 1,), generator=generator) for n in lengths)
    return [F.pad(tokens, (0, 1), value=SEPARATOR) for tokens in inner]


def losses(family: GPTFamily, model: GPT, inputs: Tensor, targets: Tensor) -> Tensor:
    """Of every token of one row."""
    logits = family.logits(model, (inputs[None], targets[None]))[0]
    return F.cross_entropy(logits, targets, reduction="none")


def packed_and_alone(family: GPTFamily, model: GPT, *lengths: int) -> tuple[Tensor, Tensor]:
    """Losses of a row of documents, and of the same documents one by one."""
    documents = documents_of(*lengths)
    row = torch.cat(documents)
    targets = row.roll(-1)
    alone = [
        losses(family, model, inputs, outputs)
        for inputs, outputs in zip(documents, targets.split(list(lengths)), strict=True)
    ]
    return losses(family, model, row, targets), torch.cat(alone)


# --- Documents in a row ----------------------------------------------------------------------


def test_a_separator_belongs_to_the_document_that_it_ends() -> None:
    numbers = document_numbers(torch.tensor([[5, 0, 7, 8, 0, 0, 9]]), SEPARATOR)
    assert numbers.tolist() == [[0, 0, 1, 1, 1, 2, 3]]
    assert document_positions(numbers).tolist() == [[0, 1, 0, 1, 2, 0, 0]]
    mask = document_mask(numbers)
    assert mask.shape == (1, 1, 7, 7)
    assert mask[0, 0].sum(dim=1).tolist() == [1, 2, 1, 2, 3, 1, 1]
    assert mask[0, 0, 4].tolist() == [False, False, True, True, True, False, False]


@pytest.mark.parametrize("name", FAMILIES)
def test_losses_are_those_of_each_document_alone(name: str) -> None:
    family = FAMILIES[name]
    packed, alone = packed_and_alone(family, built(family), 5, 9, 3)
    torch.testing.assert_close(packed, alone, rtol=1e-12, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_losses_are_those_of_each_document_alone_at_any_lengths(lengths: list[int]) -> None:
    family = FAMILIES["every option"]
    packed, alone = packed_and_alone(family, built(family), *lengths)
    torch.testing.assert_close(packed, alone, rtol=1e-12, atol=1e-12)


def test_no_gradient_flows_across_documents() -> None:
    family = FAMILIES["plain"]
    model, lengths = built(family), [5, 9, 3]
    row = torch.cat(documents_of(*lengths))
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    model.embedding.register_forward_hook(keep)
    losses(family, model, row, row.roll(-1))[5:14].sum().backward()
    assert seen[0].grad is not None
    before, within, after = seen[0].grad[0].split(lengths)
    assert not before.any()
    assert within.any(dim=1).all()
    assert not after.any()


def test_rows_of_a_batch_have_their_own_documents() -> None:
    family = FAMILIES["plain"]
    model = built(family)
    rows = torch.stack([torch.cat(documents_of(*lengths)) for lengths in ([4, 6], [7, 3])])
    together = model(rows)
    for row, logits in zip(rows, together, strict=True):
        torch.testing.assert_close(model(row[None])[0], logits, rtol=1e-12, atol=1e-12)


def test_stacked_models_keep_documents_apart() -> None:
    family = FAMILIES["every option"]
    first, second = built(family), built(family)
    for parameter in second.parameters():
        nn.init.normal_(parameter, std=0.2)
    pairs = zip(first.named_parameters(), second.parameters(), strict=True)
    parameters = {name: torch.stack([one, other]).detach() for (name, one), other in pairs}
    rows = torch.stack([torch.cat(documents_of(*lengths)) for lengths in ([4, 6], [7, 3])])
    batch = rows, rows.roll(-1, dims=1)
    found = family.stacked(SCALE).sequence_losses(parameters, batch)
    for model, values in zip((first, second), found, strict=True):
        expected = family.sequence_losses(model, batch)
        torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


def test_bfloat16_keeps_documents_apart() -> None:
    family = FAMILIES["every option"]
    model = built(family).float()
    with torch.autocast("cpu", torch.bfloat16):
        packed, alone = packed_and_alone(family, model, 5, 9, 3)
    torch.testing.assert_close(packed, alone, rtol=0.03, atol=0.03)


# --- The option ------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
def test_a_row_without_separators_is_as_without_the_option(tied: bool) -> None:
    plain = GPTFamily(vocabulary_size=VOCABULARY, head_size=4, tied=tied)
    packing = GPTFamily(vocabulary_size=VOCABULARY, head_size=4, tied=tied, separator=SEPARATOR)
    tokens = torch.randint(1, VOCABULARY, (2, 11))
    torch.testing.assert_close(built(packing)(tokens), built(plain)(tokens), rtol=1e-12, atol=1e-12)


def test_options_name_a_separator_only_where_there_is_one() -> None:
    assert "separator" not in GPTFamily(vocabulary_size=VOCABULARY).options()
    options = FAMILIES["plain"].options()
    assert options["separator"] == SEPARATOR
    assert GPTFamily.from_options(options, vocabulary_size=VOCABULARY) == FAMILIES["plain"]
    bytes_ = byte_tokenizer()
    GPTFamily(vocabulary_size=bytes_.vocabulary_size, separator=bytes_.separator)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        *(({"separator": value}, "below 23") for value in (-1, VOCABULARY, 1.0, True, "0")),
        ({"separator": 0, "unit_scaled": True}, "turn unit_scaled off"),
    ],
)
def test_wrong_separators_are_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(WindtunnelError, match=f"family.options.separator: .*{said}"):
        GPTFamily(vocabulary_size=VOCABULARY, **options)


def test_flops_count_the_full_square() -> None:
    plain = GPTFamily(vocabulary_size=VOCABULARY, head_size=4)
    counts = {family.flops_per_unit(SCALE, 8) for family in (plain, FAMILIES["plain"])}
    assert len(counts) == 1
