from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models import Family, build_family
from windtunnel.models.function import FunctionFamily
from windtunnel.models.stacked import stacked
from windtunnel.scale import Scale

MEMBERS, SEQUENCES, LENGTH, VOCABULARY = 3, 4, 6, 11
SCALE = Scale(width=16, depth=2)


def gpt(**options: Any) -> Family:
    return build_family(
        "gpt",
        {"head_size": 4, **options},
        vocabulary_size=VOCABULARY,
        sequence_length=LENGTH,
    )


def perceptron() -> Family:
    def build(width: int, depth: int) -> nn.Module:
        hidden = (layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU()))
        return nn.Sequential(nn.Embedding(VOCABULARY, width), *hidden, nn.Linear(width, VOCABULARY))

    def step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())

    return FunctionFamily(build, step)


FAMILIES = {
    "swiglu": gpt(),
    "relu2": gpt(activation="relu2"),
    "tied": gpt(tied=True),
    "grouped": gpt(query_groups=2),
    "qk_norm": gpt(qk_norm=True),
    "unit_scaled": gpt(unit_scaled=True, alpha_res=0.7, alpha_ffn_act=1.5),
    "unit_scaled tied": gpt(unit_scaled=True, tied=True, activation="relu2", qk_norm=True),
    "perceptron": perceptron(),
}


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(VOCABULARY, (SEQUENCES, LENGTH + 1), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def members(family: Family) -> list[nn.Module]:
    """Models of which no parameter is zero, so that every gradient says something."""
    torch.manual_seed(1)
    models = [family.build(SCALE).double() for _ in range(MEMBERS)]
    for model in models:
        for parameter in model.parameters():
            nn.init.normal_(parameter, mean=0.3 if parameter.ndim < 2 else 0.0, std=0.3)
    return models


@pytest.mark.parametrize("name", FAMILIES)
def test_losses_and_gradients_are_each_members_own(name: str) -> None:
    family, models = FAMILIES[name], members(FAMILIES[name])
    stack = {
        key: torch.stack([dict(m.named_parameters())[key] for m in models])
        .detach()
        .requires_grad_()
        for key, _ in models[0].named_parameters()
    }
    form = stacked(family, SCALE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = form.losses(stack, batch())
        by_sequence = form.sequence_losses(stack, batch())
    losses.sum().backward()
    assert losses.shape == (MEMBERS,)
    for index, model in enumerate(models):
        loss = family.loss(model, batch())
        loss.backward()
        torch.testing.assert_close(losses[index], loss, rtol=1e-13, atol=0)
        single = family.sequence_losses(model, batch())
        torch.testing.assert_close(by_sequence[index], single, rtol=1e-13, atol=0)
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(
                stack[key].grad[index], parameter.grad, rtol=1e-11, atol=1e-13
            )


def test_what_vmap_would_take_one_by_one_is_refused() -> None:
    """Attention under vmap falls back; the gpt's own form is there for that."""

    class Attends(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer = nn.Linear(width, width)

        def forward(self, values: Tensor) -> Tensor:
            heads = self.layer(values).view(*values.shape[:2], -1, 4).transpose(1, 2)
            return F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)

    family = FunctionFamily(lambda width, depth: Attends(width), lambda m, b: m(b).square().mean())
    stack = {
        "layer.weight": torch.randn(MEMBERS, 16, 16, requires_grad=True),
        "layer.bias": torch.zeros(MEMBERS, 16),
    }
    form = stacked(family, SCALE)
    for _ in range(2):  # torch itself would warn once a process
        with pytest.raises(WindtunnelError, match=r"function.*can't be stacked.*one at a time"):
            form.losses(stack, torch.randn(SEQUENCES, LENGTH, 16))


def test_buffers_are_refused() -> None:
    family = FunctionFamily(lambda width, depth: nn.BatchNorm1d(width), lambda m, b: m(b).mean())
    with pytest.raises(WindtunnelError, match="running_mean is a buffer"):
        stacked(family, SCALE)
