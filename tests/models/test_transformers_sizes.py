from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from windtunnel.errors import WindtunnelError
from windtunnel.models.transformers_family import TransformersFamily
from windtunnel.scale import Scale

os.environ["HF_HUB_OFFLINE"] = "1"
pytest.importorskip("transformers")

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 11,
}
BERT = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"} | {"model_type": "bert"}
TOKENS = torch.arange(10).view(2, 5)


@pytest.mark.parametrize(
    ("config", "options", "step", "missing"),
    [
        (LLAMA, {}, 16, "no whole num_key_value_heads"),
        (LLAMA, {"key_value_heads": "fixed"}, 32, "no whole number of heads for each of the 4 key"),
        (LLAMA, {"heads": "fixed"}, 16, "no even head size"),
        (LLAMA | {"head_dim": 16}, {"heads": "fixed"}, 8, "no even head size"),
        (BERT, {"heads": "fixed"}, 8, "no whole head size"),
        (BERT, {}, 8, "no whole num_attention_heads"),
    ],
)
def test_widths_that_work_compute_a_loss_and_others_are_refused_with_those_that_do(
    config: dict[str, Any], options: dict[str, Any], step: int, missing: str
) -> None:
    family = TransformersFamily(config, **options)
    refused = []
    for width in range(4, 100, 4):
        try:
            model = family.build(Scale(width, 1))
        except WindtunnelError as error:
            refused.append((width, str(error)))
        else:
            assert torch.isfinite(family.loss(model, (TOKENS, TOKENS)))
    assert [width for width, _ in refused] == [w for w in range(4, 100, 4) if w % step]
    assert all(f"multiple of {step}, such as " in message for _, message in refused)
    assert any(missing in message for _, message in refused)
    around = {width: message.rpartition("such as ")[2] for width, message in refused}
    assert around[step + 4] == f"{step} or {2 * step}"
