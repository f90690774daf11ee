from __future__ import annotations

import numpy as np
import torch

from windtunnel.models.rotary import rotary_turns, rotate

CPU = torch.device("cpu")


def test_known_answer() -> None:
    heads = torch.tensor([[1.0, 0.0, 0.0, 2.0]]).repeat(4, 1).view(1, 4, 1, 4)
    rotated = rotate(heads, rotary_turns(4, 4, CPU))[0, 3, 0]
    # Position 3: the first pair turns by 3 radians, the second by 3 / 10000^(2/4).
    expected = [np.cos(3), np.sin(3), -2 * np.sin(0.03), 2 * np.cos(0.03)]
    assert np.allclose(rotated.numpy(), expected, atol=1e-6)


def test_products_depend_on_the_distance_only_and_norms_not_at_all() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generator, dtype=torch.float64)
    turns = rotary_turns(40, 8, CPU).to(torch.complex128)
    queries, keys = (rotate(x.expand(1, 40, 1, 8), turns)[0, :, 0] for x in (query, key))
    products = queries @ keys.T
    for distance in (0, 1, 17):
        along = products.diagonal(offset=-distance)
        assert torch.allclose(along, along[0].expand_as(along), rtol=0, atol=1e-5)
    spread = torch.stack([products.diagonal(offset=-d)[0] for d in range(8)]).std()
    assert spread > 0.1
    assert torch.allclose(queries.norm(dim=-1), query.norm().expand(40), rtol=1e-5)
