from __future__ import annotations

import json

import pytest
import torch

from windtunnel.errors import WindtunnelError
from windtunnel.models.diffusers_family import DiffusersFamily
from windtunnel.models.family import ParameterCount
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.branches import find_branches
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.scale import Scale

pytest.importorskip("diffusers")

DIT = DiffusersFamily(
    "DiTTransformer2DModel",
    {
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "num_layers": 2,
        "sample_size": 8,
        "num_embeds_ada_norm": 10,
        "norm_num_groups": 8,
    },
)
UNET = DiffusersFamily(
    "UNet2DModel",
    {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 8,
    },
)
GENERATOR = torch.Generator().manual_seed(5)
BATCHES = {
    DIT.model: (torch.randn(4, 4, 8, 8, generator=GENERATOR), torch.arange(4)),
    UNET.model: (torch.randn(4, 3, 8, 8, generator=GENERATOR), torch.arange(4)),
}


def roles_of(p: Plan) -> dict[str, str]:
    return {without_indices(entry.name): entry.role.value for entry in p}


def test_a_diffusion_transformer_has_a_transformer_s_roles() -> None:
    roles = roles_of(plan(DIT, Scale(32, 2), Scale(64, 4), "completep"))
    inputs = {name for name, role in roles.items() if role == "input"}
    block = "transformer_blocks.*.norm1.emb"
    assert inputs == {
        "pos_embed.proj.weight",
        f"{block}.timestep_embedder.linear_1.weight",
        f"{block}.class_embedder.embedding_table.weight",
    }
    assert {n for n, r in roles.items() if r == "output"} == {"proj_out_2.weight"}
    assert {r for n, r in roles.items() if n.endswith("bias")} == {"vector", "scalar"}
    hidden = {n for n, r in roles.items() if n.endswith("weight")} - inputs - {"proj_out_2.weight"}
    assert {roles[name] for name in hidden} == {"hidden"}


def test_a_u_net_has_a_role_for_every_parameter() -> None:
    roles = roles_of(plan(UNET, Scale(16, 1), Scale(32, 1), "mup"))
    assert {n for n, r in roles.items() if r == "input"} == {"conv_in.weight"}
    assert {n for n, r in roles.items() if r == "output"} == {"conv_out.weight"}
    assert {n for n, r in roles.items() if r == "scalar"} == {"conv_out.bias"}
    assert roles["down_blocks.*.resnets.*.conv1.weight"] == "hidden"
    assert roles["up_blocks.*.resnets.*.norm1.weight"] == "vector"


def test_the_declared_branches_are_those_of_a_forward_pass() -> None:
    images, classes = BATCHES[DIT.model]
    times = torch.zeros(4, dtype=torch.long)
    found = find_branches(DIT.build(Scale(32, 2)), images, timestep=times, class_labels=classes)
    assert found == DIT.declarations


def test_a_u_net_has_no_one_stack_for_rules_in_depth() -> None:
    with pytest.raises(WindtunnelError, match=r"down_blocks\.\*.*mid_block.*in no one stack"):
        find_branches(UNET.build(Scale(16, 2)), BATCHES[UNET.model][0], torch.zeros(4))
    with pytest.raises(WindtunnelError, match="declare Declarations"):
        plan(UNET, Scale(16, 1), Scale(16, 2), "completep")


def moved(family: DiffusersFamily, base: int, width: int, rule: str) -> float:
    """How far three AdamW steps move a model's outputs, RMS, the mean of two seeds."""
    images, classes = BATCHES[family.model]
    named = {"class_labels": classes} if family is DIT else {}
    times = torch.tensor([10, 200, 500, 900])
    p = plan(family, Scale(base, 2), Scale(width, 2), rule)
    distances = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = family.build(Scale(width, 2)).eval()  # no labels are dropped
        apply_(model, p, family=family, init_seed=seed)
        before = model(images, timestep=times, **named).sample.detach()
        optimizer = torch.optim.AdamW(param_groups(model, p, lr=3e-4))
        torch.manual_seed(9)  # the same times and noise at every width
        for _ in range(3):
            optimizer.zero_grad()
            family.loss(model, (images, classes)).backward()
            optimizer.step()
        after = model(images, timestep=times, **named).sample.detach()
        distances.append((after - before).square().mean().sqrt().item())
    return sum(distances) / 2


@pytest.mark.parametrize(("family", "base"), [(DIT, 32), (UNET, 16)], ids=["DiT", "U-Net"])
def test_mup_keeps_the_updates_of_diffusion_models_from_growing(
    family: DiffusersFamily, base: int
) -> None:
    """That a transformer's rule carries over to DiT is the claim of Zheng et al. 2025."""
    at_base = moved(family, base, base, "mup")
    assert moved(family, base, 4 * base, "sp") > 2.5 * at_base
    assert 0.5 * at_base < moved(family, base, 4 * base, "mup") < 1.4 * at_base


@pytest.mark.parametrize("family", [DIT, UNET], ids=lambda family: family.model)
def test_losses_are_one_an_image_and_repeat_with_the_seed(family: DiffusersFamily) -> None:
    scale = Scale(32, 2)
    torch.manual_seed(0)
    model = family.build(scale).eval()
    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        losses.append(family.sequence_losses(model, BATCHES[family.model]))
    torch.manual_seed(1)
    mean = family.loss(model, BATCHES[family.model])
    assert losses[0].shape == (4,) and torch.equal(*losses)
    torch.testing.assert_close(mean, losses[0].mean())
    assert 0.3 < mean.item() < 3  # an untrained model predicts little of unit noise
    total = sum(p.numel() for p in model.parameters())
    tables = 2 * 11 * 32 if family is DIT else 0
    assert family.parameter_count(scale) == ParameterCount(total=total, embedding=tables)
    json.dumps(family.options())


def test_flops_of_a_transformer_s_image_by_hand() -> None:
    patches, width = 16, 32
    block = (4 + 8) * width**2 * patches + 2 * patches**2 * width
    conditioning = (256 + width + 6 * width) * width
    ends = 2 * patches * width * 16 + 2 * width**2
    last = (256 + width) * width  # the first block's embedder is read once more at the end
    expected = 6.0 * (2 * (block + conditioning) + ends + last)
    assert DIT.flops_per_unit(Scale(32, 2), 0) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiffusersFamily("Unet"), "'Unet' is none of DiT.*UNet2DModel"),
        (lambda: DIT.build(Scale(20, 2)), "width 20 .*num_attention_heads.*multiple of 8"),
        (lambda: UNET.build(Scale(16, 0)), "depth 0"),
        (lambda: DiffusersFamily("UNet2DModel").flops_per_unit(Scale(224, 2), 0), "sample_size"),
    ],
)
def test_what_cannot_be_built_is_refused(make, message: str) -> None:
    with pytest.raises(WindtunnelError, match=message):
        make()
