from __future__ import annotations

import pytest
import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale

BASE = Scale(32, 2)
FAMILY = GPTFamily(vocabulary_size=64)


def made(family, target: Scale, rule: str = "mup", seed: int = 0, base: Scale = BASE):
    build = getattr(family, "build", None) or (lambda scale: family(scale.width, scale.depth))
    torch.manual_seed(seed)
    model = build(target)
    apply_(model, plan(family, base, target, rule), family=family, init_seed=seed)
    return {name: p.detach() for name, p in model.named_parameters()}


def test_at_base_the_factorys_own_draw_stays_bit_for_bit() -> None:
    for rule in ("sp", "mup", "completep"):
        torch.manual_seed(5)
        expected = dict(FAMILY.build(BASE).named_parameters())
        found = made(FAMILY, BASE, rule, seed=5)
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_an_init_that_could_not_be_scaled_is_no_trouble_at_base() -> None:
    def build(width: int, depth: int) -> nn.Module:
        model = nn.Linear(width, width)
        nn.init.orthogonal_(model.weight)
        return model

    made(build, BASE)


def test_spreads_follow_the_plan_and_zeros_stay_zero() -> None:
    base, wide = made(FAMILY, BASE), made(FAMILY, Scale(128, 2))

    def ratio(name: str) -> float:
        return float(wide[name].std() / base[name].std())

    assert ratio("embedding.weight") == pytest.approx(1.0, rel=0.05)
    assert ratio("blocks.0.mlp.up.weight") == pytest.approx(0.5, rel=0.05)
    assert not wide["head.weight"].any()
    assert not wide["blocks.1.attention.query.weight"].any()
    assert (wide["final_norm.weight"] == 1).all()


def test_the_init_of_a_tied_table_does_not_grow_with_width() -> None:
    family = GPTFamily(vocabulary_size=64, tied=True)
    for width in (64, 256):
        wide = made(family, Scale(width, 2))
        assert float(wide["embedding.weight"].std()) == pytest.approx(0.02, rel=0.05)
        assert torch.allclose(wide["final_norm.weight"], torch.tensor(32 / width))


def test_the_factorys_dependence_on_size_is_replaced_by_the_rules() -> None:
    """PyTorch's own Linear has std 1/sqrt(3 fan-in): under muP the readout must be smaller."""

    def build(width: int, depth: int) -> nn.Module:
        return nn.Sequential(nn.Linear(8, width), nn.Linear(width, 8))

    wide = made(build, Scale(512, 1), base=Scale(32, 1))
    assert float(wide["1.weight"].std()) == pytest.approx((3 * 32) ** -0.5 / 16, rel=0.05)


def test_deeper_models_agree_on_the_blocks_they_share() -> None:
    four, eight = made(FAMILY, Scale(32, 4)), made(FAMILY, Scale(32, 8))
    for name, value in four.items():
        assert torch.equal(value, eight[name]), name


def test_blocks_drawn_differently_keep_their_difference() -> None:
    class Net(nn.Module):
        def __init__(self, width: int, depth: int) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
            for index, block in enumerate(self.blocks):
                nn.init.normal_(block.weight, std=1.0 + index)

    wide = made(Net, Scale(128, 2))
    assert float(wide["blocks.0.weight"].std()) == pytest.approx(0.5, rel=0.05)
    assert float(wide["blocks.1.weight"].std()) == pytest.approx(1.0, rel=0.05)


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (made(FAMILY, Scale(64, 2), seed=seed) for seed in (0, 0, 1))
    name = "embedding.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def test_padding_rows_stay_zero() -> None:
    wide = made(lambda width, depth: nn.Embedding(64, width, padding_idx=3), Scale(64, 1))
    assert not wide["weight"][3].any()
    assert wide["weight"][4].any()


def test_refusals_name_the_parameter() -> None:
    def orthogonal(width: int, depth: int) -> nn.Module:
        model = nn.Sequential(nn.Linear(width, width))
        nn.init.orthogonal_(model[0].weight)
        return model

    with pytest.raises(WindtunnelError, match=r"0.weight: its initialisation can't be scaled"):
        made(orthogonal, Scale(64, 2))
    planned = plan(FAMILY, BASE, Scale(64, 2))
    with torch.device("meta"):
        empty = FAMILY.build(Scale(64, 2))
    with pytest.raises(WindtunnelError, match=r"embedding.weight: has no storage.*to_empty"):
        apply_(empty, planned, family=FAMILY, init_seed=0)


def test_a_model_without_storage_is_refused_at_base_too() -> None:
    with torch.device("meta"):
        empty = FAMILY.build(BASE)
    with pytest.raises(WindtunnelError, match="meta device"):
        apply_(empty, plan(FAMILY, BASE, BASE), family=FAMILY, init_seed=0)


def test_what_to_empty_left_is_drawn_on_request_alone() -> None:
    with torch.device("meta"):
        empty = FAMILY.build(Scale(64, 2))
    empty.to_empty(device="cpu")
    for parameter in empty.parameters():
        nn.init.zeros_(parameter)
    planned = plan(FAMILY, BASE, Scale(64, 2))
    with pytest.raises(WindtunnelError, match=r"embedding.weight: holds values.*replace=True"):
        apply_(empty, planned, family=FAMILY, init_seed=0)
    apply_(empty, planned, family=FAMILY, init_seed=0, replace=True)
    expected = made(FAMILY, Scale(64, 2))
    assert all(torch.equal(expected[name], p) for name, p in empty.named_parameters())


def test_a_part_of_a_model_is_drawn_as_the_whole() -> None:
    whole = made(FAMILY, Scale(64, 2))
    part = FAMILY.build(Scale(64, 2))
    part.embedding = part.head = None
    apply_(part, plan(FAMILY, BASE, Scale(64, 2)), family=FAMILY, init_seed=0, part=True)
    assert all(torch.equal(whole[name], p) for name, p in part.named_parameters())


def test_model_and_plan_must_match() -> None:
    planned = plan(FAMILY, BASE, Scale(64, 2))

    def apply(model: nn.Module, to=planned) -> None:
        apply_(model, to, family=FAMILY, init_seed=0)

    with pytest.raises(WindtunnelError, match=r"embedding.weight: \[64, 96\] in the model"):
        apply(FAMILY.build(Scale(96, 2)))
    with pytest.raises(WindtunnelError, match=r"blocks.2.*the plan does not"):
        apply(FAMILY.build(Scale(64, 3)))
    with pytest.raises(WindtunnelError, match=r"blocks.1.*the model does not"):
        apply(FAMILY.build(Scale(64, 1)))
    tied = GPTFamily(vocabulary_size=64, tied=True)
    with pytest.raises(WindtunnelError, match=r"tied with head.weight in the plan alone"):
        apply(FAMILY.build(Scale(64, 2)), plan(tied, BASE, Scale(64, 2)))
    with pytest.raises(WindtunnelError, match=r"tied with head.weight in the model alone"):
        apply(tied.build(Scale(64, 2)))
