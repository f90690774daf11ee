from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations
from windtunnel.models.function import FunctionFamily
from windtunnel.parametrization.roles import Kind, kinds
from windtunnel.scale import Role, Scale

SCALE = Scale(8, 2)


def kinds_of(build, **declared) -> dict[str, Kind]:
    family = FunctionFamily(lambda width, depth: build(width))
    return {kind.name: kind for kind in kinds(family, SCALE, Declarations(**declared))}


class Bare(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(shape))


def role_and_fans(build, name: str = "weight", **declared) -> tuple[str, int | None, int | None]:
    kind = kinds_of(build, **declared)[name]
    return kind.role.value, kind.fan_out, kind.fan_in


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda w: nn.Linear(3, w), ("input", 0, 1)),
        (lambda w: nn.Linear(1, w), ("input", 0, 1)),
        (lambda w: nn.Linear(w, 4 * w), ("hidden", 0, 1)),
        (lambda w: nn.Linear(w, 3), ("output", 0, 1)),
        (lambda w: nn.Linear(w, 1), ("output", 0, 1)),
        (lambda w: nn.Linear(3, 3), ("bottleneck", 0, 1)),
        (lambda w: nn.Embedding(5, w), ("input", 1, None)),
        (lambda w: nn.Conv2d(w, 2 * w, 3), ("hidden", 0, 1)),
        (lambda w: nn.Conv2d(w, 2 * w, 3, groups=4), ("hidden", 0, 1)),
        (lambda w: nn.Conv2d(w, 2 * w, 3, groups=w), ("vector", 0, None)),
        (lambda w: nn.Conv1d(w, w, 3, groups=w // 4), ("vector", 0, None)),
        (lambda w: nn.ConvTranspose2d(w, 3, 2), ("output", 1, 0)),
        (lambda w: nn.ConvTranspose2d(w, w, 2, groups=w), ("vector", 0, None)),
        (lambda w: nn.LayerNorm((w, 4, 4)), ("vector", 0, None)),
        (lambda w: nn.RMSNorm(16), ("scalar", None, None)),
        (lambda w: nn.PReLU(), ("scalar", None, None)),
    ],
)
def test_a_module_tells_fan_in_from_fan_out(build, expected) -> None:
    assert role_and_fans(build) == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (lambda w: (w, 3 * w), ("hidden", 0, 1)),
        (lambda w: (7, 3), ("bottleneck", None, None)),
        (lambda w: (2, 7, 3), ("bottleneck", None, None)),
        (lambda w: (1, 1, w), ("vector", 2, None)),
        (lambda w: (1, 7, w), ("input", 2, None)),
        (lambda w: (), ("scalar", None, None)),
    ],
)
def test_a_shape_alone_tells_where_it_can(shape, expected) -> None:
    assert role_and_fans(lambda w: Bare(*shape(w)), "table") == expected


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        (lambda w: (7, w), (1, 0), ("input", 1, 0)),
        (lambda w: (7, w), (0, 1), ("output", 0, 1)),
        (lambda w: (4, 2 * w, w), (1, 2), ("hidden", 1, 2)),
        (lambda w: (4, w, 2 * w), (2, 1), ("hidden", 2, 1)),
        (lambda w: (4, w, 3), (2, 1), ("output", 2, 1)),
    ],
)
def test_a_declared_layout_tells_the_rest(shape, layout, expected) -> None:
    with pytest.raises(
        WindtunnelError, match=r"^table .*declare Declarations\(layouts=\(\('table'"
    ):
        kinds_of(lambda w: Bare(*shape(w)))
    declared = (("table", layout),)
    assert role_and_fans(lambda w: Bare(*shape(w)), "table", layouts=declared) == expected


@pytest.mark.parametrize("layout", [(0, 0), (0, 2), (-1, 0), (5, 6)])
def test_a_layout_with_other_dimensions_is_an_error(layout) -> None:
    with pytest.raises(WindtunnelError, match=r"^declarations\.layouts: 'table' says"):
        kinds_of(lambda w: Bare(7, w), layouts=(("table", layout),))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([1, 3, 0]), min_size=2, max_size=4),
    st.tuples(st.integers(-2, 5), st.integers(-2, 5)),
)
def test_any_declared_layout_gives_a_role_or_an_error(sizes, layout) -> None:
    """0 stands for a dimension that grows."""
    try:
        kind = kinds_of(lambda w: Bare(*(s or w for s in sizes)), layouts=(("table", layout),))
    except WindtunnelError as error:
        assert "table" in str(error)
        return
    fan_out, fan_in = layout
    grows = kind["table"].grows
    assert (kind["table"].fan_out, kind["table"].fan_in) == layout
    assert (kind["table"].role is Role.HIDDEN) == (grows[fan_out] and grows[fan_in])
    assert sum(grows) == grows[fan_out] + grows[fan_in]


def test_a_layout_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(WindtunnelError, match=r"layouts: no parameter is called 'blocks\.\*\.up'"):
        kinds_of(lambda w: nn.Linear(w, w), layouts=(("blocks.*.up", (0, 1)),))


def test_a_layout_comes_before_the_module() -> None:
    declared = (("weight", (1, 0)),)
    assert role_and_fans(lambda w: nn.Linear(3, w), layouts=declared) == ("output", 1, 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda w: nn.Conv2d(w * w, w * w, 3, groups=w), "weight .*groups and the channels"),
        (lambda w: nn.Conv1d(2, 2, w), "weight .*kernel grows"),
        (lambda w: nn.Embedding(w, 3), "weight .*rows grows"),
        (lambda w: nn.Bilinear(w, w, w), "weight .*Bilinear does not tell"),
        (lambda w: Bare(w, 7), "table .*Bare does not tell"),
        (lambda w: Bare(2, 7, w), "table .*Bare does not tell"),
    ],
)
def test_what_has_no_role_is_refused_by_name(build, message: str) -> None:
    with pytest.raises(WindtunnelError, match=f"^{message}.*declare Declarations"):
        kinds_of(build)


def test_gates_and_fused_projections_are_hidden_matrices() -> None:
    found = kinds_of(lambda w: nn.Sequential(nn.Linear(w, 3 * w), nn.Linear(w, 8 * w)))
    assert {kind.role for name, kind in found.items() if "weight" in name} == {Role.HIDDEN}


def test_wide_to_fixed_is_a_readout_outside_the_blocks_only() -> None:
    def build(w: int) -> nn.Module:
        return nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(w, 4)]), "head": nn.Linear(w, 4)})

    found = kinds_of(build, blocks="blocks.*")
    assert found["blocks.0.weight"].role is Role.BOTTLENECK
    assert found["head.weight"].role is Role.OUTPUT


class OffsetNorm(nn.Module):
    """As Gemma has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + 1e-6)
        return values * (1.0 + self.weight)


class PlainNorm(OffsetNorm):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.weight * (values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + 1e-6))


@pytest.mark.parametrize(
    "declared",
    [{"tied_head_gain": "norm.weight"}, {"branch_outputs": ("norm",)}, {"queries": ("norm",)}],
)
def test_a_multiplier_is_not_put_where_it_would_be_lost(declared) -> None:
    with pytest.raises(WindtunnelError, match=r"^norm\.weight: OffsetNorm does not multiply by"):
        kinds_of(lambda w: nn.ModuleDict({"norm": OffsetNorm(w)}), **declared)
    for norm in (PlainNorm, nn.RMSNorm, nn.LayerNorm):
        kinds_of(lambda w, norm=norm: nn.ModuleDict({"norm": norm(w)}), **declared)


def test_queries_that_share_a_matrix_with_keys_and_values_are_refused() -> None:
    def build(w: int) -> nn.Module:
        return nn.ModuleDict({"attention": nn.MultiheadAttention(w, 2)})

    assert kinds_of(build)["attention.in_proj_weight"].role is Role.HIDDEN
    with pytest.raises(WindtunnelError, match=r"^attention\.in_proj_\w+: queries, keys and values"):
        kinds_of(build, queries=("attention",), head_growth=1.0)
