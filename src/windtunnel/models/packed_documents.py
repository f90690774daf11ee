"""Documents packed into one row: each is seen as if it were alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def document_numbers(tokens: Tensor, separator: int) -> Tensor:
    """Which document of its row each token belongs to, counted from 0.

    A separator belongs to the document that it ends, as `windtunnel.data` writes it. A row may
    begin and end within a document.

    Args:
        tokens: Token ids, (batch, length).
        separator: The id that ends a document.

    Returns:
        Whole numbers that never fall along a row, (batch, length).
    """
    ends = tokens == separator
    return ends.cumsum(dim=1) - ends.long()


def document_mask(documents: Tensor) -> Tensor:
    """What attends to what: the tokens of the same document so far.

    Args:
        documents: From `document_numbers`.

    Returns:
        Truth values, (batch, 1, length, length): queries, then keys. Every token sees itself.
    """
    same = documents.unsqueeze(2) == documents.unsqueeze(1)
    return same.tril().unsqueeze(1)


def document_positions(documents: Tensor) -> Tensor:
    """Each token's distance from the first one of its document in the row.

    Relative positions would do without, but the angles of large ones are rounded: so a document
    gives the same numbers wherever in the row it lies.

    Args:
        documents: From `document_numbers`.

    Returns:
        Whole numbers from 0, (batch, length).
    """
    positions = torch.arange(documents.shape[1], device=documents.device)
    begins = F.pad(documents.diff(dim=1) > 0, (1, 0))
    return positions - (positions * begins).cummax(dim=1).values


def attend_within(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Attention to what a mask allows; all but the mask are (batch, heads, length, head size).

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        mask: From `document_mask`.
    """
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
