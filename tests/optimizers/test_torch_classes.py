from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import geometry_of, method_of
from windtunnel.scale import Geometry, Recipe

KNOWN = {
    torch.optim.SGD: Geometry.SGD,
    torch.optim.Adam: Geometry.SIGN,
    torch.optim.AdamW: Geometry.SIGN,
    torch.optim.Adamax: Geometry.SIGN,
    torch.optim.NAdam: Geometry.SIGN,
    torch.optim.RAdam: Geometry.SIGN,
    torch.optim.RMSprop: Geometry.SIGN,
    torch.optim.Adagrad: Geometry.SIGN,
    torch.optim.SparseAdam: Geometry.SIGN,
    torch.optim.Adafactor: Geometry.RELATIVE,
    torch.optim.Muon: Geometry.ORTHOGONAL,
}


@pytest.mark.parametrize(("optimizer", "geometry"), KNOWN.items(), ids=lambda value: str(value))
def test_the_geometry_of_torchs_classes(optimizer: type, geometry: Geometry) -> None:
    assert geometry_of(optimizer) is geometry
    assert method_of(optimizer).name == optimizer.__name__
    assert method_of(optimizer).elsewhere is None


def update_after(optimizer: type, gradient_size: float, weight_size: float) -> float:
    """Norm of twelve steps' change, at gradients and a weight of these sizes."""
    generator = torch.Generator().manual_seed(0)
    start = weight_size * torch.randn(4, 4, generator=generator, dtype=torch.float64)
    weight = nn.Parameter(start.clone())
    made = method_of(optimizer).build([{"params": [weight]}], Recipe(lr=1e-3, batch_units=1))
    for group in made.param_groups:
        # What is added beside the gradient would hide how its size matters.
        group["eps"] = (1e-18, 1e-3) if optimizer is torch.optim.Adafactor else 1e-18
        group["weight_decay"] = 0.0
    for _ in range(12):
        gradient = torch.randn(4, 4, generator=generator, dtype=torch.float64)
        weight.grad = gradient_size * gradient
        made.step()
    return float((weight.detach() - start).norm())


@pytest.mark.parametrize("optimizer", [o for o in KNOWN if o is not torch.optim.SparseAdam])
def test_updates_change_with_gradients_and_weights_as_the_geometry_says(optimizer: type) -> None:
    at_one = update_after(optimizer, 1.0, 1.0)
    with_gradients = update_after(optimizer, 8.0, 1.0) / at_one
    with_weights = update_after(optimizer, 1.0, 8.0) / at_one
    geometry = geometry_of(optimizer)
    if optimizer is not torch.optim.RAdam:  # its first steps aren't divided
        expected = 8.0 if geometry is Geometry.SGD else 1.0
        assert with_gradients == pytest.approx(expected, rel=1e-3)
    assert with_weights == pytest.approx(8.0 if geometry is Geometry.RELATIVE else 1.0, rel=0.05)


def test_a_class_derived_from_a_known_one_has_its_geometry() -> None:
    class Renamed(torch.optim.Adam):
        pass

    assert geometry_of(Renamed) is Geometry.SIGN
    assert method_of(Renamed).name == "Renamed"


def test_an_unknown_class_is_named_with_what_to_pass() -> None:
    class Lion(torch.optim.Optimizer):
        pass

    class AdamW(torch.optim.Optimizer):  # a known name is not enough
        pass

    for stranger in (Lion, AdamW, dict):
        with pytest.raises(WindtunnelError, match=rf"{stranger.__name__} .*pass its geometry"):
            geometry_of(stranger)


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Rprop, torch.optim.Adadelta, torch.optim.LBFGS, torch.optim.ASGD]
)
def test_classes_whose_rate_means_nothing_to_a_rule_are_refused_with_the_reason(
    optimizer: type,
) -> None:
    with pytest.raises(WindtunnelError, match=rf"can set {optimizer.__name__}'s rates: it"):
        method_of(optimizer)


def test_torchs_own_muon_takes_matrices_only_and_scales_by_shape() -> None:
    own_factor = method_of(torch.optim.Muon).own_factor
    assert own_factor is not None
    assert own_factor((64, 16)) == 2.0
    assert own_factor((16, 64)) == 1.0
    with pytest.raises(WindtunnelError, match=r"matrices only, not .*\[32\]"):
        own_factor((32,))


def test_own_factor_is_what_torch_applies() -> None:
    def step(weight: Tensor) -> float:
        start = weight.clone()
        weight.grad = torch.ones_like(weight)
        torch.optim.Muon([weight], lr=1.0, weight_decay=0.0).step()
        return float((weight - start).norm())  # of a gradient of rank one: one, times the factor

    own_factor = method_of(torch.optim.Muon).own_factor
    assert own_factor is not None
    wide, tall = torch.zeros(4, 64), torch.zeros(64, 4)
    assert step(tall) / step(wide) == pytest.approx(own_factor((64, 4)) / own_factor((4, 64)))
