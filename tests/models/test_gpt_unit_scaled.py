from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from windtunnel.errors import WindtunnelError
from windtunnel.models import unit_scaling
from windtunnel.models.gpt import GPT, GPTFamily
from windtunnel.models.rotary import rotary_turns, rotate
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Powers, Scale

CONFIGURATIONS: list[dict[str, Any]] = [
    {"activation": activation, "tied": tied, "query_groups": groups, "qk_norm": qk_norm}
    for activation, tied, groups, qk_norm in itertools.product(
        ("swiglu", "relu2"), (False, True), (1, 2), (False, True)
    )
]
ALPHAS = {
    "alpha_attn_softmax": 3.0,
    "alpha_res": 0.5,
    "alpha_res_attn_ratio": 2.0,
    "alpha_loss_softmax": 1.5,
}
SCALE = Scale(width=32, depth=2)


def family_with(vocabulary_size: int = 11, head_size: int = 8, **options: Any) -> GPTFamily:
    return GPTFamily(
        vocabulary_size=vocabulary_size, head_size=head_size, unit_scaled=True, **options
    )


def tokens_of(family: GPTFamily, sequences: int = 3, length: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    drawn = torch.randint(family.vocabulary_size, (sequences, length + 1), generator=generator)
    return drawn[:, :-1], drawn[:, 1:]


def built(family: GPTFamily, scale: Scale = SCALE) -> GPT:
    torch.manual_seed(1)
    return family.build(scale).double()


def rms(values: Tensor) -> float:
    return float(values.detach().square().mean().sqrt())


# --- What it computes ------------------------------------------------------------------------


def reference_logits(model: GPT, family: GPTFamily, tokens: Tensor) -> Tensor:
    """The same function with plain tensor operations, every factor written out."""
    weights = dict(model.named_parameters(remove_duplicate=False))
    size, length, depth = family.head_size, tokens.shape[1], len(model.blocks)
    turns = rotary_turns(length, size, tokens.device)

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weights[f"{name}.weight"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T / math.sqrt(x.shape[-1])

    def heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, size))

    ratio = family.alpha_res_attn_ratio
    mlp_share = family.alpha_res**2 * 2 / (1 + ratio**2)
    share = 1 / (1 + 4 * size / family.alpha_attn_softmax**2)
    attention_factor = (length / math.log(length)) ** ((1 - share) / 2)
    mask = torch.ones(length, length, dtype=torch.bool).tril()

    hidden = weights["embedding.weight"][tokens]
    for block in range(depth):
        at = f"blocks.{block}"
        x = norm(hidden, f"{at}.attention_norm")
        q, k, v = (heads(linear(x, f"{at}.attention.{name}")) for name in ("query", "key", "value"))
        if family.qk_norm:
            q, k = norm(q, f"{at}.attention.query_norm"), norm(k, f"{at}.attention.key_norm")
        k, v = (x.repeat_interleave(family.query_groups, dim=2) for x in (k, v))
        scores = torch.einsum("bqhd,bkhd->bhqk", rotate(q, turns), rotate(k, turns)) / size
        scores = (family.alpha_attn_softmax * scores).masked_fill(~mask, -math.inf)
        mixed = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2)
        branch = linear(attention_factor * mixed, f"{at}.attention.output")
        tau2 = ratio**2 * mlp_share / (depth + block * (1 + ratio**2) * mlp_share)
        hidden = (tau2**0.5 * branch + hidden) / math.sqrt(1 + tau2)

        x = norm(hidden, f"{at}.mlp_norm")
        up = linear(x, f"{at}.mlp.up")
        if family.activation == "swiglu":
            gate = linear(x, f"{at}.mlp.gate")
            inner = 2**0.75 * up * gate / (1 + (-gate).exp())
        else:
            inner = math.sqrt(2 / 3) * up.clamp(min=0) ** 2
        branch = linear(inner, f"{at}.mlp.down")
        tau2 = mlp_share / (depth + block * (1 + ratio**2) * mlp_share + ratio**2 * mlp_share)
        hidden = (tau2**0.5 * branch + hidden) / math.sqrt(1 + tau2)
    table = weights["embedding.weight" if family.tied else "head.weight"]
    return family.alpha_loss_softmax / table.shape[1] * norm(hidden, "final_norm") @ table.T


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_logits_losses_and_the_direction_of_gradients_against_a_slow_reference(
    options: dict[str, Any],
) -> None:
    """Unit scaling may change the length of each parameter's gradient, never its direction.

    A tied table gathers two gradients: they add up to the true one's direction as well.
    """
    family = family_with(**options, **ALPHAS)
    model = built(family)
    inputs, targets = tokens_of(family)
    expected = reference_logits(model, family, inputs)
    assert torch.allclose(model(inputs), expected, rtol=1e-6, atol=1e-9)

    plain = F.cross_entropy(expected.flatten(0, 1), targets.flatten())
    loss = family.loss(model, (inputs, targets))
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    each = family.sequence_losses(model, (inputs, targets))
    assert each.mean().item() == pytest.approx(plain.item(), rel=1e-6)
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()))
    true = torch.autograd.grad(plain, list(parameters.values()))
    for name, ours, reference in zip(parameters, found, true, strict=True):
        cosine = F.cosine_similarity(ours.flatten(), reference.flatten(), dim=0).item()
        assert cosine == pytest.approx(1.0, abs=1e-9), name


def test_a_sharper_gate_has_the_direction_of_the_true_gradient_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = family_with(alpha_ffn_act=2.5)
    model, batch = built(family), tokens_of(family)

    def gradients() -> tuple[Tensor, ...]:
        return torch.autograd.grad(family.loss(model, batch), list(model.parameters()))

    found = gradients()
    plain = lambda values, *, forward=1.0, backward=1.0: values * forward  # noqa: E731
    monkeypatch.setattr(unit_scaling, "scaled", plain)
    for ours, reference in zip(found, gradients(), strict=True):
        cosine = F.cosine_similarity(ours.flatten(), reference.flatten(), dim=0).item()
        assert cosine == pytest.approx(1.0, abs=1e-9)
        assert abs(math.log(rms(ours) / rms(reference))) > 0.1


# --- Scale one -------------------------------------------------------------------------------


def sizes(width: int, **options: Any) -> dict[str, float]:
    """Root mean squares at initialisation: outputs, their gradients, and weights' gradients."""
    torch.manual_seed(0)
    family = GPTFamily(vocabulary_size=256, unit_scaled=True, **options)
    model = family.build(Scale(width, 2))
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: Any, output: Tensor) -> None:
            output.retain_grad()
            outputs[name] = output

        return hook

    for name, module in model.named_modules():
        if name and not isinstance(module, torch.nn.ModuleList):
            module.register_forward_hook(keep(name))
    drawn = torch.randint(256, (4, 65))
    torch.autograd.backward(family.loss(model, (drawn[:, :-1], drawn[:, 1:])))
    found = {f"weight {name}": rms(p.grad) for name, p in model.named_parameters()}
    found |= {f"output {name}": rms(output) for name, output in outputs.items()}
    return found | {f"gradient {name}": rms(output.grad) for name, output in outputs.items()}


@pytest.mark.parametrize(
    "options",
    [{}, {"activation": "relu2", "query_groups": 2, "tied": True}, {"qk_norm": True}],
    ids=str,
)
def test_everything_starts_at_about_scale_one_whatever_the_width(options: dict[str, Any]) -> None:
    """All but what u-muP leaves out.

    Logits of random weights shrink as 1/sqrt(width), so that updates dominate. Queries and keys
    get small gradients, since with 1/d attention the softmax starts flat; they too keep their
    size. With a tied table the logit of the token itself is of order one.
    """
    by_width = [sizes(width, **options) for width in (64, 512)]
    for name in by_width[0]:
        found = [one[name] for one in by_width]
        if name == "output head":
            assert found[-1] / found[0] == pytest.approx(8**-0.5, rel=0.1) or options.get("tied")
            continue
        low = 0.05 if "query" in name or "key" in name else 0.45
        assert low < min(found) <= max(found) < 3.0, (name, found)
        few = name.endswith(("query_norm.weight", "key_norm.weight"))  # 16 entries
        assert max(found) / min(found) < (2.5 if few else 1.5), (name, found)


def test_the_plain_model_does_not() -> None:
    """What the test above would say of torch's own operations."""
    torch.manual_seed(0)
    family = GPTFamily(vocabulary_size=256, head_size=16)
    model = family.build(Scale(64, 2))
    torch.autograd.backward(family.loss(model, tokens_of(family, 8, 64)))
    assert rms(model.head.weight.grad) < 0.05


def test_weights_start_at_scale_one_and_gains_at_one() -> None:
    for tied in (False, True):
        model = GPTFamily(vocabulary_size=300, unit_scaled=True, tied=tied).build(Scale(64, 2))
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                assert torch.equal(parameter, torch.ones_like(parameter))
            else:
                assert parameter.std().item() == pytest.approx(1.0, rel=0.05), name


# --- What it tells a rule --------------------------------------------------------------------


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_declared_multipliers_are_what_the_modules_multiply_by(options: dict[str, Any]) -> None:
    """With weights of ones: a module's output over its plain one, at two sizes."""
    family = family_with(**options)
    small, large = (family.build(Scale(width, 2)) for width in (32, 128))
    declared = dict(family.declarations.multipliers)
    for name, module in small.named_modules():
        if not isinstance(module, torch.nn.Linear) or (name == "head" and family.tied):
            continue
        factors = []
        for layer in (module, large.get_submodule(name)):
            values = torch.ones(1, 1, layer.in_features)
            with torch.no_grad():
                factors.append(float((layer(values) / F.linear(values, layer.weight)).mean()))
        ratio = factors[1] / factors[0]
        powers = declared[".".join("*" if part.isdecimal() else part for part in name.split("."))]
        assert ratio == pytest.approx(powers.at(4.0, 4.0, 1.0)), name
    ends = "final_norm" if family.tied else "head"
    assert declared[ends] == Powers(fan_out=-1) if family.tied else Powers(fan_in=-1)


def test_branches_follow_the_declared_power_of_depth() -> None:
    """What a branch adds, over what the embedding has come to."""
    shares = []
    for depth in (2, 8):
        norm, tau = 1.0, unit_scaling.residual_weight(0, 2 * depth)
        for branch in range(depth):  # as far up as the first half
            norm *= math.hypot(1.0, unit_scaling.residual_weight(branch, 2 * depth))
        shares.append((tau, norm * unit_scaling.residual_weight(depth, 2 * depth)))
    for shallow, deep in zip(*shares, strict=True):
        assert deep / shallow == pytest.approx(4**-0.5)
    declared = dict(family_with().declarations.multipliers)
    assert declared["blocks.*.mlp.down"] == Powers(fan_in=-0.5, depth=-0.5)
    assert declared["blocks.*.attention.output"] == Powers(fan_in=-0.5, depth=-0.5)


def test_under_its_own_rule_nothing_is_multiplied_twice() -> None:
    """Initialisation stays N(0, 1); only rates follow size."""
    family = GPTFamily(vocabulary_size=50, unit_scaled=True, query_groups=2)
    for entry in plan(family, Scale(32, 2), Scale(128, 8), "u-mup", "adamw"):
        assert entry.init == pytest.approx(1.0), entry.name
        inside = entry.name.startswith("blocks.")
        rate = 0.5 if len(entry.shape) == 2 and "head" not in entry.name else 1.0
        assert entry.lr == pytest.approx(rate * (0.5 if inside else 1.0)), entry.name


def test_a_tied_head_is_not_multiplied_twice() -> None:
    """With a rule that can do with a table's one rate; the model divides by the width itself."""
    family = GPTFamily(vocabulary_size=50, unit_scaled=True, tied=True)
    entries = plan(family, Scale(32, 2), Scale(128, 2), "mup", "adamw")
    assert entries["final_norm.weight"].init == entries["final_norm.weight"].lr == 1.0


# --- As any model ----------------------------------------------------------------------------


def test_copies_pickles_meta_builds_and_functional_calls_keep_every_factor() -> None:
    family = family_with(tied=True, **ALPHAS)
    model = built(family)
    inputs, _ = tokens_of(family)
    expected = model(inputs)
    assert torch.equal(copy.deepcopy(model)(inputs), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model))(inputs), expected)
    with torch.device("meta"):
        empty = family.build(SCALE)
    empty.to_empty(device="cpu")
    empty.load_state_dict(model.state_dict(), assign=True)
    assert torch.equal(empty(inputs), expected)
    called = torch.func.functional_call(model, dict(model.named_parameters()), (inputs,))
    assert torch.equal(called, expected)
    with torch.no_grad():
        assert torch.equal(model(inputs), expected)


def test_names_shapes_and_counts_are_the_plain_models() -> None:
    for options in CONFIGURATIONS:
        plain = GPTFamily(vocabulary_size=11, head_size=8, **options)
        shapes = [
            {name: p.shape for name, p in family.build(SCALE).named_parameters()}
            for family in (plain, family_with(**options))
        ]
        assert shapes[0] == shapes[1]
        assert plain.parameter_count(SCALE) == family_with(**options).parameter_count(SCALE)


def test_bfloat16_autocast_agrees() -> None:
    family = family_with(qk_norm=True, query_groups=2)
    torch.manual_seed(1)
    model, batch = family.build(SCALE), tokens_of(family)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = family.loss(model, batch)
    torch.autograd.backward(low)
    assert low.item() == pytest.approx(family.loss(model, batch).item(), rel=0.02)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"unit_scaled": 1}, "family.options.unit_scaled: 1 won't do; give true or false"),
        (
            {"alpha_res": 2},
            "family.options.alpha_res: 2.0 won't do; give 1.0, or turn unit_scaled on",
        ),
        (
            {"unit_scaled": True, "alpha_res": 0},
            "family.options.alpha_res: 0 won't do; give a number above 0",
        ),
        (
            {"unit_scaled": True, "alpha_loss_softmax": True},
            "family.options.alpha_loss_softmax: True won't do",
        ),
        (
            {"unit_scaled": True, "activation": "relu2", "alpha_ffn_act": 2.0},
            "family.options.alpha_ffn_act: 2.0 won't do; give 1.0: relu2",
        ),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(WindtunnelError) as caught:
        GPTFamily.from_options(options, vocabulary_size=256)
    assert str(caught.value).startswith(named)
