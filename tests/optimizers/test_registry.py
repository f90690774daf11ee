from __future__ import annotations

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import geometry_of, optimizer_method, optimizer_names
from windtunnel.scale import Geometry


def test_adamw_by_name() -> None:
    assert optimizer_names() == ("adamw",)
    assert optimizer_method("adamw").name == "adamw"
    assert geometry_of("adamw") is Geometry.SIGN


def test_an_unknown_optimizer_is_named_and_the_known_ones_listed() -> None:
    for look_up in (optimizer_method, geometry_of):
        with pytest.raises(WindtunnelError, match=r"^optimizer: no optimizer 'adam'; .*: adamw$"):
            look_up("adam")
