from __future__ import annotations

import subprocess
import sys

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import geometry_of, method_of, optimizer_method, optimizer_names
from windtunnel.scale import Geometry, Recipe


def test_every_optimizer_by_name_has_its_geometry() -> None:
    assert {name: geometry_of(name) for name in optimizer_names()} == {
        "adafactor": Geometry.RELATIVE,
        "adam-atan2": Geometry.SIGN,
        "adamuon": Geometry.ORTHOGONAL,
        "adamw": Geometry.SIGN,
        "auon": Geometry.ORTHOGONAL,
        "hybrid-auon": Geometry.ORTHOGONAL,
        "dion": Geometry.ORTHOGONAL,
        "fira": Geometry.SIGN,
        "frugal": Geometry.SIGN,
        "lion": Geometry.SIGN,
        "lion-huber": Geometry.SIGN,
        "lion-l2": Geometry.ORTHOGONAL,
        "lion-nuclear": Geometry.ORTHOGONAL,
        "muon": Geometry.ORTHOGONAL,
        "sgd": Geometry.SGD,
        "soap": Geometry.SIGN,
        "sophia-g": Geometry.SIGN,
        "sophia-h": Geometry.SIGN,
    }
    assert all(optimizer_method(name).name == name for name in optimizer_names())


def test_what_is_no_hidden_matrix_is_left_to_adamw_or_to_nobody() -> None:
    others = {name: optimizer_method(name).elsewhere for name in optimizer_names()}
    assert others["muon"] is optimizer_method("adamw")
    assert all(other in (None, optimizer_method("adamw")) for other in others.values())


def test_an_unknown_optimizer_is_named_and_the_known_ones_listed() -> None:
    for look_up in (optimizer_method, geometry_of, method_of):
        with pytest.raises(WindtunnelError, match=r"^optimizer: no optimizer 'adam'; .*: adafac"):
            look_up("adam")


def test_a_geometry_is_taken_as_it_is_and_builds_nothing() -> None:
    for geometry in Geometry:
        method = method_of(geometry)
        assert (method.geometry, method.name) == (geometry, str(geometry))
        assert method.own_factor is None
        with pytest.raises(WindtunnelError, match="name an optimizer"):
            method.build([], Recipe(lr=1.0, batch_units=1))


def test_the_name_sgd_is_the_optimizer_and_the_geometry_sgd_is_not() -> None:
    assert method_of("sgd") is optimizer_method("sgd")
    assert method_of(Geometry.SGD) is not optimizer_method("sgd")


def test_a_method_is_its_own() -> None:
    assert method_of(optimizer_method("muon")) is optimizer_method("muon")


def test_looking_up_imports_no_torch() -> None:
    code = (
        "import sys; from windtunnel.optimizers import geometry_of, optimizer_names\n"
        "[geometry_of(name) for name in optimizer_names()]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
