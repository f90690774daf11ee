from __future__ import annotations

import copy
import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import ParameterCount
from windtunnel.models.gpt import GPT, GPTFamily
from windtunnel.scale import Scale

CONFIGURATIONS: list[dict[str, Any]] = [
    {"activation": activation, "tied": tied, "query_groups": groups, "qk_norm": qk_norm}
    for activation, tied, groups, qk_norm in itertools.product(
        ("swiglu", "relu2"), (False, True), (1, 2), (False, True)
    )
]
SCALE = Scale(width=32, depth=2)


def family_with(vocabulary_size: int = 11, head_size: int = 8, **options: Any) -> GPTFamily:
    return GPTFamily(vocabulary_size=vocabulary_size, head_size=head_size, **options)


def tokens_of(
    family: GPTFamily, sequences: int = 3, length: int = 12
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    drawn = torch.randint(family.vocabulary_size, (sequences, length + 1), generator=generator)
    return drawn[:, :-1], drawn[:, 1:]


def scrambled(family: GPTFamily, scale: Scale = SCALE) -> GPT:
    """A model whose every parameter matters: nothing is zero, no gain is one."""
    model = family.build(scale)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise / parameter.shape[-1] ** 0.5 + (parameter.ndim == 1))
    return model


# --- Sizes -----------------------------------------------------------------------------------


def test_parameter_count_by_hand() -> None:
    family = GPTFamily(
        vocabulary_size=10, head_size=2, activation="relu2", query_groups=2, qk_norm=True
    )
    # Width 4, so 2 query heads of 2 channels share 1 key and value head; hidden width 16.
    attention = 4 * 4 + 4 * 2 + 4 * 2 + 4 * 4  # query, key, value, output: 48
    mlp = 4 * 16 + 16 * 4  # up, down: 128
    gains = 4 + 2 + 2 + 4  # two norms of width 4, query and key norms of size 2: 12
    table = 10 * 4
    total = table + 3 * (attention + mlp + gains) + 4 + table  # 3 blocks, final norm, head
    assert total == 648
    assert family.parameter_count(Scale(width=4, depth=3)) == ParameterCount(648, 40)
    tied = GPTFamily(
        vocabulary_size=10, head_size=2, activation="relu2", query_groups=2, qk_norm=True, tied=True
    )
    count = tied.parameter_count(Scale(width=4, depth=3))
    assert (count.total, count.embedding, count.non_embedding) == (608, 0, 608)


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_parameter_count_is_what_is_built(options: dict[str, Any]) -> None:
    family = family_with(**options)
    model = family.build(SCALE)
    count = family.parameter_count(SCALE)
    assert count.total == sum(p.numel() for p in model.parameters())
    table = 0 if family.tied else model.embedding.weight.numel()
    assert count.non_embedding == count.total - table


@settings(max_examples=30, deadline=None)
@given(
    heads=st.integers(1, 4),
    groups=st.integers(1, 3),
    half_size=st.integers(1, 4),
    depth=st.integers(1, 3),
    ratio=st.floats(0.1, 5),
    activation=st.sampled_from(["swiglu", "relu2"]),
)
def test_parameter_count_at_any_shape(
    heads: int, groups: int, half_size: int, depth: int, ratio: float, activation: Any
) -> None:
    family = family_with(
        head_size=2 * half_size, query_groups=groups, mlp_ratio=ratio, activation=activation
    )
    scale = Scale(width=heads * groups * 2 * half_size, depth=depth)
    with torch.device("meta"):
        model = family.build(scale)
    assert family.parameter_count(scale).total == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_flops_are_what_torch_counts(options: dict[str, Any]) -> None:
    family = family_with(**options)
    model = family.build(SCALE)
    inputs, targets = tokens_of(family)
    # The fused attention kernels compute the scores again in the backward pass, and torch's
    # counter does not know the CPU's; the plain kernel is made of the products we count.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.autograd.backward(family.loss(model, (inputs, targets)))
    assert counter.get_total_flops() == inputs.numel() * family.flops_per_unit(SCALE, 12)


def test_flops_by_hand() -> None:
    family = GPTFamily(vocabulary_size=10, head_size=2, activation="relu2")
    # Width 4, depth 1: 4 products of 4 x 4, two of 4 x 16, the head's 4 x 10; for 6 positions
    # scores and values of 2 heads of 2 channels: 2 x 6 x 4. Two FLOPs each, times three.
    multiplications = 4 * 16 + 2 * 64 + 40 + 2 * 6 * 4
    assert family.flops_per_unit(Scale(width=4, depth=1), 6) == 3 * 2 * multiplications == 1680


# --- What it computes ------------------------------------------------------------------------


def reference_logits(model: GPT, family: GPTFamily, tokens: np.ndarray) -> np.ndarray:
    """The same model in NumPy, float64, one sequence, with loops over heads and positions."""
    weights = {name: p.detach().double().numpy() for name, p in model.named_parameters()}
    size = family.head_size

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        rms = np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
        return np.asarray(x / rms * weights[f"{name}.weight"])

    def rotated(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        for position, pair in itertools.product(range(len(x)), range(size // 2)):
            angle = position / 10_000 ** (2 * pair / size)
            turn = np.array(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            out[position, 2 * pair : 2 * pair + 2] = turn @ x[position, 2 * pair : 2 * pair + 2]
        return out

    hidden = weights["embedding.weight"][tokens]
    for block in range(len(model.blocks)):
        at = f"blocks.{block}"
        x = norm(hidden, f"{at}.attention_norm")
        query, key, value = (
            x @ weights[f"{at}.attention.{name}.weight"].T for name in ("query", "key", "value")
        )
        mixed = np.zeros_like(query)
        for head in range(query.shape[1] // size):
            shared = head // family.query_groups
            q = query[:, head * size : (head + 1) * size]
            k, v = (x[:, shared * size : (shared + 1) * size] for x in (key, value))
            if family.qk_norm:
                q = norm(q, f"{at}.attention.query_norm")
                k = norm(k, f"{at}.attention.key_norm")
            q, k = rotated(q), rotated(k)
            for position in range(len(tokens)):
                scores = np.exp(q[position] @ k[: position + 1].T / math.sqrt(size))
                attended = (scores / scores.sum()) @ v[: position + 1]
                mixed[position, head * size : (head + 1) * size] = attended
        hidden = hidden + mixed @ weights[f"{at}.attention.output.weight"].T
        x = norm(hidden, f"{at}.mlp_norm")
        up = x @ weights[f"{at}.mlp.up.weight"].T
        if family.activation == "swiglu":
            gate = x @ weights[f"{at}.mlp.gate.weight"].T
            inner = gate / (1 + np.exp(-gate)) * up
        else:
            inner = np.maximum(up, 0) ** 2
        hidden = hidden + inner @ weights[f"{at}.mlp.down.weight"].T
    table = weights["embedding.weight" if family.tied else "head.weight"]
    return np.asarray(norm(hidden, "final_norm") @ table.T)


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_logits_and_losses_against_a_slow_reference(options: dict[str, Any]) -> None:
    family = family_with(**options)
    model = scrambled(family)
    inputs, targets = tokens_of(family)
    expected = np.stack([reference_logits(model, family, row) for row in inputs.numpy()])
    assert np.allclose(model(inputs).detach().numpy(), expected, rtol=1e-4, atol=1e-4)

    log_sums = np.log(np.exp(expected).sum(-1))
    chosen = np.take_along_axis(expected, targets.numpy()[..., None], axis=-1)[..., 0]
    losses = (log_sums - chosen).mean(axis=1)
    measured = family.sequence_losses(model, (inputs, targets)).detach().numpy()
    assert measured.shape == (3,)
    assert np.allclose(measured, losses, rtol=1e-4)
    assert family.loss(model, (inputs, targets)).item() == pytest.approx(losses.mean(), rel=1e-4)


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_no_position_sees_a_later_one(options: dict[str, Any]) -> None:
    family = family_with(**options)
    model = scrambled(family)
    inputs, _ = tokens_of(family)
    changed = inputs.clone()
    changed[:, 7] = (changed[:, 7] + 1) % family.vocabulary_size
    before, after = model(inputs), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7], after[:, 7])
    assert not torch.allclose(before[:, 8:], after[:, 8:])


def test_bfloat16_autocast_agrees_and_does_not_warn() -> None:
    family = family_with(qk_norm=True, query_groups=2)
    model = scrambled(family)
    batch = tokens_of(family)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = family.loss(model, batch)
        torch.autograd.backward(low)
    assert low.item() == pytest.approx(family.loss(model, batch).item(), rel=0.02)


def test_float64_and_inference_mode() -> None:
    family = family_with()
    model = scrambled(family)
    batch = tokens_of(family)
    with torch.inference_mode():
        measured = family.loss(model, batch).item()
    loss = family.loss(copy.deepcopy(model).double(), batch)
    torch.autograd.backward(loss)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(measured, rel=1e-5)


# --- How it starts ---------------------------------------------------------------------------


def test_initialisation() -> None:
    torch.manual_seed(0)
    family = GPTFamily(vocabulary_size=300)
    model = family.build(Scale(width=64, depth=2))
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            assert torch.equal(parameter, torch.ones_like(parameter))
        elif name == "head.weight" or name.endswith("query.weight"):
            assert not parameter.any()
        else:
            std = 1.0 if name == "embedding.weight" else parameter.shape[1] ** -0.5
            assert parameter.std().item() == pytest.approx(std, rel=0.05), name
            assert abs(parameter.mean().item()) < 4 * std / parameter.numel() ** 0.5, name
    assert family.loss(model, tokens_of(family)).item() == pytest.approx(math.log(300), rel=1e-6)


def test_a_normalised_query_and_a_tied_table_do_not_start_at_zero() -> None:
    torch.manual_seed(0)
    model = GPTFamily(vocabulary_size=300, qk_norm=True, tied=True).build(Scale(64, 1))
    assert model.get_parameter("blocks.0.attention.query.weight").std().item() == pytest.approx(
        1 / 8, rel=0.05
    )
    assert model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_builds_follow_the_global_generator() -> None:
    family = family_with()
    torch.manual_seed(3)
    first = family.build(SCALE).state_dict()
    torch.manual_seed(3)
    second = family.build(SCALE).state_dict()
    other = family.build(SCALE).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_meta_build_has_the_same_names_and_shapes(options: dict[str, Any]) -> None:
    family = family_with(**options)
    real = family.build(SCALE)
    with torch.device("meta"):
        meta = family.build(SCALE)
    assert all(p.is_meta for p in meta.parameters())
    assert not list(meta.buffers())
    shapes = [
        [(name, p.shape) for name, p in model.named_parameters(remove_duplicate=False)]
        for model in (real, meta)
    ]
    assert shapes[0] == shapes[1]
    meta.to_empty(device="cpu")
    meta.load_state_dict(scrambled(family).state_dict())
    inputs, _ = tokens_of(family)
    assert torch.equal(meta(inputs), scrambled(family)(inputs))


def test_a_tied_head_stays_tied() -> None:
    family = family_with(tied=True)
    with torch.device("meta"):
        model = family.build(SCALE)
    model.to_empty(device="cpu")
    assert model.head.weight is model.embedding.weight
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    assert model.head.weight is model.embedding.weight
    copied = copy.deepcopy(model)
    assert copied.head.weight is copied.embedding.weight
    assert copied.head.weight is not model.head.weight
    assert [name for name, _ in model.named_parameters() if "head" in name] == []
    untied = family_with().build(SCALE)
    assert untied.head.weight is not untied.embedding.weight


def test_shapes_of_shared_heads_and_norms() -> None:
    model = family_with(query_groups=4, qk_norm=True).build(SCALE)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["blocks.1.attention.query.weight"] == (32, 32)
    assert shapes["blocks.1.attention.key.weight"] == (8, 32)
    assert shapes["blocks.1.attention.value.weight"] == (8, 32)
    assert shapes["blocks.1.attention.query_norm.weight"] == (8,)
    assert shapes["blocks.1.attention.key_norm.weight"] == (8,)
    assert shapes["blocks.1.mlp.gate.weight"] == (96, 32)


def test_declarations_name_what_is_there() -> None:
    for tied in (False, True):
        family = family_with(tied=tied)
        modules = dict(family.build(SCALE).named_modules())
        declared = family.declarations
        for pattern in declared.branch_outputs:
            assert isinstance(modules[pattern.replace("*", "1")], torch.nn.Linear)
        assert declared.blocks == "blocks.*"
        assert declared.tied_head_gain == ("final_norm.weight" if tied else None)


# --- Options ---------------------------------------------------------------------------------


def test_options_are_full_and_build_the_same_family_again() -> None:
    family = GPTFamily.from_options({"activation": "relu2"}, vocabulary_size=256)
    assert family.options() == {
        "head_size": 16,
        "activation": "relu2",
        "tied": False,
        "query_groups": 1,
        "qk_norm": False,
        "mlp_ratio": 4.0,
        "unit_scaled": False,
        "alpha_ffn_act": 1.0,
        "alpha_attn_softmax": 1.0,
        "alpha_res": 1.0,
        "alpha_res_attn_ratio": 1.0,
        "alpha_loss_softmax": 1.0,
    }
    assert GPTFamily.from_options(family.options(), vocabulary_size=256) == family
    whole, real = (
        GPTFamily.from_options({"mlp_ratio": ratio}, vocabulary_size=256).options()
        for ratio in (3, 3.0)
    )
    assert repr(whole) == repr(real) == repr(GPTFamily(vocabulary_size=256).options())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"heads": 4}, "family.options.heads: family 'gpt' has no such option; known options: act"),
        ({"vocabulary_size": 4}, "family.options.vocabulary_size: "),
        ({"head_size": 7}, "family.options.head_size: 7 won't do; give an even number"),
        ({"head_size": 0}, "family.options.head_size: 0 won't do"),
        ({"head_size": 8.0}, "family.options.head_size: 8.0 won't do; give a whole number"),
        ({"query_groups": True}, "family.options.query_groups: True won't do"),
        ({"activation": "gelu"}, "family.options.activation: 'gelu' won't do; give swiglu or rel"),
        ({"activation": ["relu2"]}, "family.options.activation: "),
        ({"tied": 1}, "family.options.tied: 1 won't do; give true or false"),
        ({"qk_norm": "yes"}, "family.options.qk_norm: 'yes' won't do"),
        ({"mlp_ratio": 0}, "family.options.mlp_ratio: 0 won't do; give a number above 0"),
        ({"mlp_ratio": float("nan")}, "family.options.mlp_ratio: nan won't do"),
        ({"mlp_ratio": "3"}, "family.options.mlp_ratio: '3' won't do"),
        ({"mlp_ratio": True}, "family.options.mlp_ratio: True won't do"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(WindtunnelError) as caught:
        GPTFamily.from_options(options, vocabulary_size=256)
    assert str(caught.value).startswith(named)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("width", "suggestion"), [(24, "use 32"), (40, "use 32"), (56, "use 64"), (1, "use 32")]
)
def test_widths_without_whole_groups_of_heads_are_refused(width: int, suggestion: str) -> None:
    family = GPTFamily(vocabulary_size=256, query_groups=2)
    scale = Scale(width=width, depth=1)
    for call in (
        family.build,
        family.parameter_count,
        lambda scale: family.flops_per_unit(scale, 8),
    ):
        with pytest.raises(WindtunnelError, match=r"^scale\.width: ") as caught:
            call(scale)
        assert str(caught.value).endswith(suggestion)


def test_no_blocks_are_refused() -> None:
    with pytest.raises(WindtunnelError, match=r"^scale\.depth: "):
        GPTFamily(vocabulary_size=256).build(Scale(width=32, depth=0))
