"""timm's vision transformer, as any user's model: built by a factory, without a family of ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import windtunnel as wt
from windtunnel.models.family import Declarations
from windtunnel.parametrization.names import without_indices
from windtunnel.scale import Scale

# It needs torchvision, which has no build for CI's CPU wheels of torch.
vision_transformer = pytest.importorskip(
    "timm.models.vision_transformer",
    reason="timm, or the torchvision it needs, isn't installed",
    exc_type=ImportError,
)

BASE, TARGET = Scale(32, 2), Scale(128, 4)


def build(width: int, depth: int) -> nn.Module:
    """Heads of 16 channels that grow in number; images of 16 x 16 pixels in 4 x 4 patches."""
    model: nn.Module = vision_transformer.VisionTransformer(
        img_size=16,
        patch_size=4,
        embed_dim=width,
        depth=depth,
        num_heads=width // 16,
        num_classes=5,
    )
    return model


def images(seed: int) -> tuple[Tensor, Tensor]:
    """Noise with one of five columns of pixels brighter: its number is the class."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(32, 3, 16, 16, generator=generator)
    classes = torch.randint(5, (32,), generator=generator)
    inputs[torch.arange(32), :, :, 3 * classes] += 2.0
    return inputs, classes


def step(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


FAMILY = wt.FunctionFamily(build, step)
DECLARED = Declarations(
    blocks="blocks.*", branch_outputs=("blocks.*.attn.proj", "blocks.*.mlp.fc2")
)


def losses(
    model: nn.Module, optimizer: torch.optim.Optimizer, clip: Any, steps: int
) -> list[float]:
    found = []
    for number in range(steps):
        optimizer.zero_grad()
        loss = step(model, images(number))
        loss.backward()
        clip(model)
        optimizer.step()
        found.append(loss.item())
    return found


def test_every_parameter_has_its_role() -> None:
    roles = {without_indices(e.name): e.role.value for e in wt.plan(build, BASE, TARGET)}
    expected = {
        "cls_token": "vector",
        "pos_embed": "input",
        "patch_embed.proj.weight": "input",
        "head.weight": "output",
        "head.bias": "scalar",
    }
    for name, role in roles.items():
        matrix = ("attn.qkv.weight", "attn.proj.weight", "mlp.fc1.weight", "mlp.fc2.weight")
        kind = "hidden" if name.endswith(matrix) else "vector"
        assert role == expected.get(name, kind), name
    assert set(expected) < set(roles)


def test_its_residual_branches_are_found() -> None:
    assert wt.find_branches(build(32, 2), images(0)[0]) == DECLARED


@pytest.mark.parametrize("rule", ["mup", "completep"])
def test_at_base_fifty_steps_are_bit_identical(rule: str) -> None:
    torch.manual_seed(0)
    untouched = build(BASE.width, BASE.depth)
    ours = copy.deepcopy(untouched)
    settings = {"lr": 0.003, "weight_decay": 0.1, "eps": 1e-8}
    expected = losses(
        untouched,
        torch.optim.AdamW(untouched.parameters(), **settings),
        lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.5),
        50,
    )
    planned = wt.plan(build, BASE, BASE, rule, declarations=DECLARED)
    wt.apply_(ours, planned, family=build, init_seed=1)
    optimizer = torch.optim.AdamW(wt.param_groups(ours, planned, **settings))
    assert len(optimizer.param_groups) == 1
    assert losses(ours, optimizer, lambda m: wt.clip_gradients_(m, planned, 0.5), 50) == expected


@pytest.mark.parametrize("rule", ["mup", "completep"])
def test_the_target_trains_in_width_and_depth(rule: str) -> None:
    planned = wt.plan(build, BASE, TARGET, rule, declarations=DECLARED)
    model = build(TARGET.width, TARGET.depth)
    wt.apply_(model, planned, family=build, init_seed=1)
    up = model.get_parameter("blocks.0.mlp.fc1.weight")
    assert up.std().item() == pytest.approx(0.02 / 2, rel=0.05)  # timm's 0.02, over sqrt(4)
    groups = wt.param_groups(model, planned, lr=0.01, weight_decay=0.1)
    found = losses(
        model, torch.optim.AdamW(groups), lambda m: wt.clip_gradients_(m, planned, 1.0), 60
    )
    assert sum(found[-10:]) / 10 < 0.5 * found[0]


@pytest.mark.parametrize(("rule", "verdict"), [("mup", "pass"), ("sp", "fail")])
def test_the_coordinate_check_tells_mup_from_sp(rule: str, verdict: str) -> None:
    found = wt.check(
        FAMILY,
        base=Scale(32, 2),
        widths=(32, 64, 128, 256),
        batch=images,
        lr=0.003,
        rule=rule,
        seeds=range(4),
    )
    assert found.verdict == verdict, found.reason
