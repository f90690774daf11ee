from __future__ import annotations

import json
import os
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from windtunnel.errors import WindtunnelError
from windtunnel.models import build_family
from windtunnel.models.architectures import ARCHITECTURES
from windtunnel.models.family import Declarations
from windtunnel.models.transformers_family import TransformersFamily
from windtunnel.parametrization.branches import find_branches
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.roles import kinds
from windtunnel.scale import Powers, Scale

os.environ["HF_HUB_OFFLINE"] = "1"
pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 50,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
EXPERTS = GROUPED | {"num_experts_per_tok": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "mistral": GROUPED,
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "mixtral": EXPERTS | {"num_local_experts": 4},
    "qwen3_moe": EXPERTS | {"num_experts": 4, "moe_intermediate_size": 16},
    "gemma": GROUPED | {"pad_token_id": 0},
    "gemma2": GROUPED | {"pad_token_id": 0},
    "gemma3_text": GROUPED | {"pad_token_id": 0},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 16}
    | {"bos_token_id": 1, "eos_token_id": 2},
    "bert": SIZES | {"max_position_embeddings": 16},
    "vit": {**SIZES, "image_size": 8, "patch_size": 4, "num_labels": 5},
}
SCALE = Scale(32, 2)


def family_of(model_type: str, *, options: dict[str, Any] | None = None, **changes: Any):
    config = {"model_type": model_type, **CONFIGS[model_type], **changes}
    return TransformersFamily(config, **(options or {}))


def batch_for(family: TransformersFamily) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    if family.architecture.task == "image-classification":
        return torch.randn(3, 3, 8, 8, generator=generator), torch.tensor([0, 3, 4])
    tokens = torch.randint(3, 50, (3, 9), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def roles_of(family: TransformersFamily) -> dict[str, str]:
    found = kinds(family, SCALE, family.declarations)
    return {without_indices(kind.name): kind.role.value for kind in found}


def test_every_type_of_the_table_is_tested() -> None:
    assert set(CONFIGS) == set(ARCHITECTURES)


@pytest.mark.parametrize("model_type", CONFIGS)
def test_every_matrix_table_and_vector_has_its_role(model_type: str) -> None:
    vectors = ("norm", "LayerNorm", "bias", "cls_token", "ln_")
    fixed = {
        "lm_head.weight": "output",
        "classifier.weight": "output",
        "classifier.bias": "scalar",
        "cls.predictions.bias": "scalar",
        "model.layers.*.mlp.gate.weight": "bottleneck",
        "model.layers.*.self_attn.q_norm.weight": "scalar",
        "model.layers.*.self_attn.k_norm.weight": "scalar",
    }
    for name, role in roles_of(family_of(model_type)).items():
        expected = fixed.get(name)
        if expected is None:
            table = any(part in name for part in ("embed", "wte", "wpe")) and "bias" not in name
            expected = "input" if table else "hidden"
            expected = "vector" if any(part in name for part in vectors) else expected
        assert role == expected, name


def test_gpt2_s_weights_are_read_the_other_way_round() -> None:
    family = family_of("gpt2")
    found = {kind.name: kind for kind in kinds(family, SCALE, family.declarations)}
    fused, down = (
        found["transformer.h.0.attn.c_attn.weight"],
        found["transformer.h.1.mlp.c_proj.weight"],
    )
    assert (fused.fan_out, fused.fan_in, fused.shape) == (1, 0, (32, 96))
    assert (down.fan_out, down.fan_in, down.shape) == (1, 0, (128, 32))
    assert found["transformer.wte.weight"].tied_head


def test_key_and_value_heads_may_stay_fixed() -> None:
    family = family_of("llama", options={"key_value_heads": "fixed"})
    assert roles_of(family)["model.layers.*.self_attn.k_proj.weight"] == "bottleneck"
    assert family.config_at(Scale(64, 2)).num_key_value_heads == 2
    p = plan(family, SCALE, Scale(128, 2), "mup")
    assert p["model.layers.0.self_attn.v_proj.weight"].lr == 1 / 4
    assert p["model.layers.0.self_attn.v_proj.weight"].shape == (16, 128)


@pytest.mark.parametrize("model_type", [t for t in CONFIGS if ARCHITECTURES[t].branch_outputs])
def test_the_table_names_the_branches_that_a_forward_pass_shows(model_type: str) -> None:
    family = family_of(model_type)
    inputs, _ = batch_for(family)
    found = find_branches(family.build(SCALE), inputs)
    assert found.blocks == family.declarations.blocks
    assert found.branch_outputs == family.declarations.branch_outputs


@pytest.mark.parametrize("model_type", ["gemma2", "gemma3_text"])
def test_a_branch_that_ends_in_gemma_s_norm_is_refused(model_type: str) -> None:
    family = family_of(model_type)
    with pytest.raises(
        WindtunnelError, match=r"post_attention_layernorm\.weight ends in.*1 \+ weight"
    ):
        find_branches(family.build(SCALE), batch_for(family)[0])
    with pytest.raises(WindtunnelError, match="declare Declarations"):
        untied = family_of(model_type, tie_word_embeddings=False)
        plan(untied, SCALE, Scale(32, 4), "completep")


def test_gemma_s_final_norm_takes_no_multiplier() -> None:
    family = family_of("gemma")
    assert family.declarations.multipliers == ()  # they would scale the head's table too
    assert plan(family, SCALE, Scale(64, 2), "sp")
    with pytest.raises(WindtunnelError, match=r"tied with lm_head\.weight"):
        plan(family, SCALE, Scale(64, 2), "mup")
    declared = Declarations(blocks="model.layers.*", tied_head_gain="model.norm.weight")
    with pytest.raises(
        WindtunnelError, match=r"model\.norm\.weight: GemmaRMSNorm does not multiply"
    ):
        plan(family, SCALE, Scale(64, 2), "mup", declarations=declared)
    untied = family_of("gemma", tie_word_embeddings=False)
    assert untied.declarations.multipliers == (("model.embed_tokens", Powers(fan_out=0.5)),)
    assert plan(untied, SCALE, Scale(128, 2), "mup")["model.embed_tokens.weight"].init == 1 / 2


@pytest.mark.parametrize("model_type", ["gpt2", "bert"])
def test_a_tied_head_s_multiplier_goes_into_the_norm_before_it(model_type: str) -> None:
    family = family_of(model_type)
    gain = family.declarations.tied_head_gain
    assert gain is not None
    assert plan(family, SCALE, Scale(128, 2), "mup")[gain].init == 1 / 4


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gpt2", "bert", "vit"])
def test_a_rule_in_width_and_depth_can_be_planned(model_type: str) -> None:
    p = plan(family_of(model_type), SCALE, Scale(64, 4), "completep")
    assert sum(entry.gauge != 1 for entry in p) >= 8


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "bert", "vit"])
def test_heads_of_a_fixed_number_grow_and_their_queries_are_scaled(model_type: str) -> None:
    family = family_of(model_type, options={"heads": "fixed"})
    config = family.config_at(Scale(64, 2))
    assert (config.num_attention_heads, getattr(config, "head_dim", 16)) == (4, 16)
    assert family.declarations.head_growth == 1
    p = plan(family, SCALE, Scale(128, 2), "mup")
    scaled = {without_indices(entry.name) for entry in p if entry.gauge == 1 / 2}
    names = {without_indices(name).removesuffix(".weight").removesuffix(".bias") for name in scaled}
    assert names == set(family.declarations.queries)


@pytest.mark.parametrize("model_type", ["gpt2", "gemma2", "gemma3_text"])
def test_queries_that_cannot_be_scaled_alone_are_refused(model_type: str) -> None:
    with pytest.raises(WindtunnelError, match=f"heads: '{model_type}' has no queries"):
        family_of(model_type, options={"heads": "fixed"})


@pytest.mark.parametrize("model_type", CONFIGS)
def test_targets_are_what_each_position_predicts(model_type: str) -> None:
    family = family_of(model_type)
    torch.manual_seed(0)
    model = family.build(SCALE).eval()
    inputs, targets = batch_for(family)
    logits = model(inputs).logits.detach()
    expected = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
    loss = family.loss(model, (inputs, targets))
    torch.testing.assert_close(loss.detach(), expected)
    each = family.sequence_losses(model, (inputs, targets))
    assert each.shape == (3,)
    torch.testing.assert_close(each.mean().detach(), expected)


@pytest.mark.parametrize("model_type", CONFIGS)
def test_counts_and_flops(model_type: str) -> None:
    family = family_of(model_type)
    model = family.build(SCALE)
    count = family.parameter_count(SCALE)
    assert count.total == sum(p.numel() for p in model.parameters())
    assert count.embedding == (0 if family.tied or model_type == "vit" else 50 * 32)
    inputs, _ = batch_for(family)
    counter = FlopCounterMode(display=False)
    # The counter sees attention only where it is made of single products.
    with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.eval()(inputs)
    units = len(inputs) if model_type == "vit" else inputs.numel()
    counted = 3 * counter.get_total_flops() / units
    if "experts" in str(model):  # grouped products are not in torch's counter
        assert family.flops_per_unit(SCALE, 8) > counted
    else:
        assert family.flops_per_unit(SCALE, 8) == pytest.approx(counted, rel=0.03)


def test_experts_count_as_often_as_a_token_reads_them() -> None:
    one, two = (
        family_of("mixtral", num_experts_per_tok=k).flops_per_unit(SCALE, 8) for k in (1, 2)
    )
    assert two - one == 6 * 2 * (3 * 32 * 64)


def test_stacked_experts_are_read_along_their_own_dimensions() -> None:
    family = family_of("mixtral")
    found = {kind.name: kind for kind in kinds(family, SCALE, family.declarations)}
    for part, shape in (("gate_up_proj", (4, 128, 32)), ("down_proj", (4, 32, 64))):
        kind = found[f"model.layers.0.mlp.experts.{part}"]
        assert (kind.shape, kind.fan_out, kind.fan_in) == (shape, 1, 2)


def test_a_normalised_query_is_scaled_after_its_norm() -> None:
    queries = family_of("qwen3", options={"heads": "fixed"}).declarations.queries
    assert queries == ("model.layers.*.self_attn.q_norm",)


def test_layers_of_several_types_go_on_in_their_pattern() -> None:
    types = ["sliding_attention", "sliding_attention", "full_attention"] * 2
    family = family_of("gemma3_text", num_hidden_layers=6, layer_types=types)
    assert family.config_at(Scale(32, 9)).layer_types == types[:3] * 3
    assert family.config_at(Scale(32, 2)).layer_types == types[:2]
    assert family.config.num_hidden_layers == 6


def test_a_config_is_read_from_a_file_and_never_downloaded(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **GROUPED}))
    for path in (tmp_path, tmp_path / "config.json"):
        family = TransformersFamily(path)
        assert family.config_at(Scale(64, 3)).intermediate_size == 128
        assert TransformersFamily(**family.options()).options() == family.options()
        json.dumps(family.options())
    with pytest.raises(WindtunnelError, match=r"no 'meta-llama/\S+' here.*nothing is down"):
        TransformersFamily("meta-llama/Llama-3.1-8B")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: family_of("llama").build(Scale(24, 2)), r"scale\.width: 24 .*multiple of 16"),
        (lambda: family_of("llama").build(Scale(32, 0)), r"scale\.depth: 0"),
        (lambda: family_of("llama", options={"heads": "many"}), "heads: 'many' won't do"),
        (lambda: TransformersFamily({"model_type": "lama"}), "reads no config"),
        (lambda: TransformersFamily({}), "reads no config"),
        (lambda: TransformersFamily({"model_type": "opt"}), "'opt': not one whose .*find_branches"),
    ],
)
def test_what_cannot_be_built_is_refused(make, message: str) -> None:
    with pytest.raises(WindtunnelError, match=message):
        make()


def test_an_unknown_type_is_served_once_its_branches_are_found() -> None:
    config = {"model_type": "opt", **SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32}
    blank = TransformersFamily(config, declared=Declarations())
    found = find_branches(blank.build(SCALE), torch.ones(2, 5, dtype=torch.long))
    family = TransformersFamily(config, declared=found)
    assert family.declarations.blocks == "model.decoder.layers.*"
    assert roles_of(family)["model.decoder.layers.*.self_attn.k_proj.weight"] == "hidden"


def test_a_study_s_options_with_the_vocabulary_of_its_data() -> None:
    options = {"config": {"model_type": "llama", **GROUPED}, "heads": "fixed"}
    family = TransformersFamily.from_options(options, vocabulary_size=257)
    assert family.heads == "fixed"
    with torch.device("meta"):
        assert family.build(SCALE).lm_head.out_features == 257
    for wrong, name in (({"head": 1, **options}, "head"), ({}, "config")):
        with pytest.raises(WindtunnelError, match=rf"^family\.options\.{name}: "):
            TransformersFamily.from_options(wrong, vocabulary_size=257)


def test_it_is_built_on_meta_and_leaves_the_config_alone() -> None:
    family = family_of("llama")
    before = family.config.to_dict()
    with torch.device("meta"):
        model = family.build(Scale(64, 5))
    assert all(p.is_meta for p in model.parameters()) and len(model.model.layers) == 5
    assert family.config.to_dict() == before


@pytest.mark.parametrize("model_type", ["mixtral", "qwen3_moe"])
def test_only_the_last_matrix_of_stacked_experts_takes_the_branch_s_multiplier(
    model_type: str,
) -> None:
    p = plan(family_of(model_type), SCALE, Scale(32, 8), "completep")
    assert p["model.layers.0.mlp.experts.down_proj"].gauge == 1 / 4
    assert p["model.layers.0.mlp.experts.gate_up_proj"].gauge == 1


def test_a_study_trains_next_token_models_within_their_positions() -> None:
    bert = {"config": {"model_type": "bert"}}
    with pytest.raises(WindtunnelError, match="a 'bert' does not predict the next token"):
        build_family("transformers", bert, vocabulary_size=256, sequence_length=16)
    short = {"config": {"model_type": "gpt2", "n_positions": 8, "pad_token_id": 50_000}}
    with pytest.raises(WindtunnelError, match="16 is beyond the 8 positions"):
        build_family("transformers", short, vocabulary_size=256, sequence_length=16)
    family = build_family("transformers", short, vocabulary_size=256, sequence_length=8)
    assert family.config.pad_token_id is None and family.config.vocab_size == 256
    with pytest.raises(WindtunnelError, match="valid sizes"):
        broken = {"config": {"model_type": "llama", "hidden_size": "abc"}}
        build_family("transformers", broken, vocabulary_size=256, sequence_length=8)
