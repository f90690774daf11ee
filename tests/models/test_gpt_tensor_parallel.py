"""A GPT spread over gloo ranks trains as one process does."""

from __future__ import annotations

import itertools
import json
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPT, GPTFamily
from windtunnel.optimizers import optimizer_method
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import clip_gradients_, param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Recipe, Scale
from windtunnel.shards import is_sharded, whole

fsdp = pytest.importorskip("torch.distributed.fsdp")
if not (dist.is_available() and dist.is_gloo_available() and hasattr(fsdp, "fully_shard")):
    pytest.skip("needs gloo and FSDP2", allow_module_level=True)

from torch.distributed.device_mesh import DeviceMesh, init_device_mesh  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from windtunnel.models.gpt_tensor_parallel import tensor_parallel_  # noqa: E402

DEVICES = ("cpu", "meta")  # where a model is built
STEPS, SEQUENCES, LENGTH = 2, 4, 12
BASE, TARGET = Scale(16, 1), Scale(32, 1)
RECIPE = Recipe(lr=0.01, batch_units=1)
FAMILIES = {
    "plain": GPTFamily(vocabulary_size=33, head_size=4),
    "every option": GPTFamily(
        vocabulary_size=33,
        head_size=4,
        tied=True,
        query_groups=2,
        qk_norm=True,
        activation="relu2",
        separator=0,
    ),
}
# The ranks are 2 x 2: without FSDP2 both pairs do the same.
CASES = [
    ("plain", "adamw", False),
    ("every option", "muon", False),
    ("plain", "muon", True),
    ("every option", "adamw", True),
]
REFUSED = {
    "3 query heads": ({"head_size": 8}, 24),
    "1 key and value heads": ({"head_size": 4, "query_groups": 4}, 16),
    "17 MLP channels": ({"head_size": 4, "mlp_ratio": 1 + 1 / 16}, 16),
    "without unit_scaled": ({"head_size": 4, "unit_scaled": True}, 16),
}


@pytest.fixture(scope="module")
def found(run_on_ranks: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank found; this file is the program that all run."""
    found: list[dict[str, Any]] = run_on_ranks(__file__, tmp_path_factory.mktemp("ranks"), 4)
    return found


@pytest.mark.parametrize(("family", "optimizer", "sharded"), CASES)
def test_ranks_are_one_process(
    found: list[dict[str, Any]], family: str, optimizer: str, sharded: bool
) -> None:
    expected = trained(FAMILIES[family], optimizer)
    for rank in found:
        given = rank[f"{family}, {optimizer}, {sharded}"]
        assert given.keys() == expected.keys()
        for name, values in expected.items():
            wanted = torch.tensor(values, dtype=torch.float64)
            same = torch.tensor(given[name], dtype=torch.float64)
            torch.testing.assert_close(same, wanted, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("name", FAMILIES)
def test_initial_values_are_the_same(found: list[dict[str, Any]], name: str) -> None:
    expected = {key: value.tolist() for key, value in initial(FAMILIES[name]).named_parameters()}
    for rank, device in itertools.product(found, DEVICES):
        assert rank[f"{name}, {device}"] == expected


def test_bfloat16_and_checkpointed_activations(found: list[dict[str, Any]]) -> None:
    loss, norm = in_bfloat16(FAMILIES["every option"])
    for rank in found:
        assert rank["bfloat16"] == [
            pytest.approx(loss, rel=1e-2),
            pytest.approx(norm, rel=2e-2),
        ]


def test_what_does_not_divide_is_refused_by_name(found: list[dict[str, Any]]) -> None:
    for rank in found:
        for part, said in zip(REFUSED, rank["refused"], strict=True):
            assert part in said
        assert "2 dimensions" in rank["two dimensions"]


def initial(family: GPTFamily, mesh: DeviceMesh | None = None, device: str = "cpu") -> GPT:
    """The model as `apply_` draws it, built on a device and spread beforehand."""
    torch.manual_seed(0)
    with torch.device(device):
        model = family.build(TARGET)
    if mesh is not None:
        spread_(model, mesh)
    if device == "meta":
        model.to_empty(device="cpu")
    planned = plan(family, BASE, TARGET, "mup", "adamw")
    apply_(model, planned, family=family, init_seed=0, replace=device == "meta")
    return model


def spread_(model: GPT, mesh: DeviceMesh) -> None:
    """Over a mesh of one dimension, or with FSDP2 over the first of two."""
    if mesh.ndim == 1:
        tensor_parallel_(model, mesh)
        return
    tensor_parallel_(model, mesh["tensor"])
    for block in model.blocks:
        fsdp.fully_shard(block, mesh=mesh["data"])
    fsdp.fully_shard(model, mesh=mesh["data"])


def batches(mesh: DeviceMesh | None) -> list[torch.Tensor]:
    """Tokens of every step: this rank's part of the batch along the data dimension."""
    generator = torch.Generator().manual_seed(1)
    tokens = [torch.randint(33, (SEQUENCES, LENGTH + 1), generator=generator) for _ in range(STEPS)]
    if mesh is None or mesh.ndim == 1:
        return tokens
    return [t.chunk(mesh["data"].size())[mesh["data"].get_local_rank()] for t in tokens]


def trained(
    family: GPTFamily, optimizer_name: str, mesh: DeviceMesh | None = None
) -> dict[str, list[Any]]:
    """Every parameter in full after a few steps, and their losses over the whole batch."""
    torch.manual_seed(0)
    model = family.build(TARGET)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    model.double()
    if mesh is not None:
        spread_(model, mesh)
    planned = plan(family, BASE, TARGET, "mup", optimizer_name)
    groups = param_groups(model, planned, lr=RECIPE.lr, weight_decay=0.1)
    optimizer = optimizer_method(optimizer_name).build(groups, RECIPE)
    losses = []
    for tokens in batches(mesh):
        loss = family.loss(model, (tokens[:, :-1], tokens[:, 1:]))
        loss.backward()
        assert clip_gradients_(model, planned, 0.5) > 0.5
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach().clone()
        if mesh is not None and mesh.ndim == 2:
            dist.all_reduce(mean, group=mesh["data"].get_group())
            mean /= mesh["data"].size()
        losses.append(mean.item())
    named = {name: whole(value.detach()).tolist() for name, value in model.named_parameters()}
    return {"losses": losses, **named}


def in_bfloat16(family: GPTFamily, mesh: DeviceMesh | None = None) -> list[float]:
    """Loss and gradient norm under autocast, with every block's activations computed anew."""
    model = initial(family, mesh)
    for block in model.blocks:
        block.forward = partial(  # type: ignore[method-assign]
            checkpoint, block.forward, use_reentrant=False
        )
    tokens = batches(None)[0]
    with torch.autocast("cpu", torch.bfloat16):
        loss = family.loss(model, (tokens[:, :-1], tokens[:, 1:]))
    loss.backward()
    norm = clip_gradients_(model, plan(family, BASE, TARGET, "mup", "adamw"), 0.0)
    return [loss.item(), norm.item()]


def refused(options: dict[str, Any], width: int, mesh: DeviceMesh) -> str:
    """What is said where a model can't be spread."""
    model = GPTFamily(vocabulary_size=33, **options).build(Scale(width, 1))
    with pytest.raises(WindtunnelError) as caught:
        tensor_parallel_(model, mesh)
    assert not any(is_sharded(parameter) for parameter in model.parameters())
    return str(caught.value)


def main(folder: Path, rank: int) -> None:
    """Train in every case on this rank and write down what came out."""
    warnings.filterwarnings("error", message=".*returned a view")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=4)
    both = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    results: dict[str, Any] = {}
    for name, optimizer, sharded in CASES:
        mesh = both if sharded else both["tensor"]
        results[f"{name}, {optimizer}, {sharded}"] = trained(FAMILIES[name], optimizer, mesh)
    for name, family in FAMILIES.items():
        for device in DEVICES:
            parameters = initial(family, both, device).named_parameters()
            results[f"{name}, {device}"] = {
                key: whole(value.detach()).tolist() for key, value in parameters
            }
    results["bfloat16"] = in_bfloat16(FAMILIES["every option"], both)
    results["refused"] = [refused(*model, both["tensor"]) for model in REFUSED.values()]
    results["two dimensions"] = refused({}, 32, both)
    (folder / f"{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
