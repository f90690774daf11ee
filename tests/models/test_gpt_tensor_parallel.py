"""What can't be shared is refused by name; the numbers are in the distributed loop's tests."""

from __future__ import annotations

from typing import Any, cast

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.scale import Scale


class Mesh:
    def __init__(self, processes: int) -> None:
        self._processes = processes

    def size(self) -> int:
        return self._processes


@pytest.mark.parametrize(
    ("options", "processes", "message"),
    [
        ({}, 3, "4 key heads can't be shared equally by 3 processes"),
        ({"query_groups": 2}, 4, "2 key heads"),
        ({"mlp_ratio": 1.25}, 16, "key heads"),
        ({"head_size": 2, "mlp_ratio": 1.25}, 16, "40 MLP channels"),
        ({"unit_scaled": True}, 2, "unit-scaled layers can't be shared"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    options: dict[str, Any], processes: int, message: str
) -> None:
    family = GPTFamily(vocabulary_size=33, **{"head_size": 8, **options})
    model = family.build(Scale(32, 1))
    with pytest.raises(WindtunnelError, match=message):
        family.tensor_parallel(model, cast(Any, Mesh(processes)))
