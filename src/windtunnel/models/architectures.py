"""Where the models of transformers keep what a scaling rule must know: a table by model type."""

from __future__ import annotations

from dataclasses import dataclass, replace

from windtunnel.scale import Powers

Layouts = tuple[tuple[str, tuple[int, int]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One model type; names but those of `blocks`, `final_norm` and `multipliers` are in a block.

    Attributes:
        blocks: The residual stack.
        branch_outputs: Modules, or parameters of a stack of experts, that end a residual branch.
            Empty where a norm without a plain gain comes after them: no multiplier can go there.
        queries: What puts out the queries; empty where queries, keys and values are one matrix, or
            where attention isn't scaled by the head's size.
        final_norm: The gain that only the head reads; None where it is not a plain gain.
        layouts: Stacked experts and their routers: (fan-out, fan-in).
        multipliers: What the model multiplies by itself.
        task: `causal-lm`, `masked-lm` or `image-classification`.
    """

    blocks: str = "model.layers.*"
    branch_outputs: tuple[str, ...] = ("self_attn.o_proj", "mlp.down_proj")
    queries: tuple[str, ...] = ("self_attn.q_proj",)
    final_norm: str | None = "model.norm.weight"
    layouts: Layouts = ()
    multipliers: tuple[tuple[str, Powers], ...] = ()
    task: str = "causal-lm"


_LLAMA = Architecture()
_QK_NORM = replace(_LLAMA, queries=("self_attn.q_norm",))
_EXPERTS = replace(
    _LLAMA,
    branch_outputs=("self_attn.o_proj", "mlp.experts.down_proj"),
    layouts=(
        ("mlp.gate.weight", (0, 1)),
        ("mlp.experts.gate_up_proj", (1, 2)),
        ("mlp.experts.down_proj", (1, 2)),
    ),
)
# Its norms multiply by 1 + weight, and its embedding by the root of the width.
_GEMMA = replace(
    _LLAMA, final_norm=None, multipliers=(("model.embed_tokens", Powers(fan_out=0.5)),)
)
# Such a norm ends each branch, and attention is scaled by a number from the config.
_GEMMA_2 = replace(_GEMMA, branch_outputs=(), queries=())

ARCHITECTURES: dict[str, Architecture] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _QK_NORM,
    "mixtral": _EXPERTS,
    "qwen3_moe": replace(_EXPERTS, queries=_QK_NORM.queries),
    "gemma": _GEMMA,
    "gemma2": _GEMMA_2,
    "gemma3_text": _GEMMA_2,
    "gpt2": Architecture(
        blocks="transformer.h.*",
        branch_outputs=("attn.c_proj", "mlp.c_proj"),
        queries=(),
        final_norm="transformer.ln_f.weight",
    ),
    "bert": Architecture(
        blocks="bert.encoder.layer.*",
        branch_outputs=("attention.output.dense", "output.dense"),
        queries=("attention.self.query",),
        final_norm="cls.predictions.transform.LayerNorm.weight",
        task="masked-lm",
    ),
    "vit": Architecture(
        blocks="vit.layers.*",
        branch_outputs=("attention.o_proj", "mlp.fc2"),
        queries=("attention.q_proj",),
        task="image-classification",
    ),
}
