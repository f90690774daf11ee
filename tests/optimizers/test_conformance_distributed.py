"""Every optimizer on two gloo ranks under FSDP2: equal gradients give equal parameters, exactly."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from windtunnel.models.gpt import GPTFamily
from windtunnel.optimizers import optimizer_method, optimizer_names
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Recipe, Scale

fsdp = pytest.importorskip("torch.distributed.fsdp")
if not (dist.is_available() and dist.is_gloo_available() and hasattr(fsdp, "fully_shard")):
    pytest.skip("needs gloo and FSDP2", allow_module_level=True)

RANKS, SEQUENCES = 2, 8
STEPS = {"adamw": 20}  # of the others 4
BASE, TARGET = Scale(16, 1), Scale(32, 1)
# 33 rows: the ranks' shards of the tables differ in size.
FAMILY = GPTFamily(vocabulary_size=33, head_size=8)
RECIPE = Recipe(lr=0.01, batch_units=1)
# An arctangent of the last few entries of a shard, computed one by one, differs in its last digit
# from one computed in a vector.
ROUNDED = {"adam-atan2"}


@pytest.fixture(scope="module")
def found(run_on_ranks: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank found; this file is the program that both run."""
    found: list[dict[str, Any]] = run_on_ranks(__file__, tmp_path_factory.mktemp("ranks"), RANKS)
    return found


@pytest.mark.parametrize("name", optimizer_names())
def test_two_ranks_are_one_process(found: list[dict[str, Any]], name: str) -> None:
    expected = trained(name, sharded=False, sequences=slice(None), same=True)
    for rank in found:
        for parameter, values in rank[name]["equal gradients"].items():
            near = 1e-6 if name in ROUNDED else 0.0
            given, wanted = torch.tensor(values), torch.tensor(expected[parameter])
            torch.testing.assert_close(given, wanted, rtol=near, atol=near)
    # Each rank's half of the batch: sums in another order.
    halves = found[0][name]["split batch"]
    assert halves == found[1][name]["split batch"]
    for parameter, values in trained(name, sharded=False, sequences=slice(None)).items():
        given, wanted = torch.tensor(halves[parameter]), torch.tensor(values)
        if name == "adamw":
            torch.testing.assert_close(given, wanted, rtol=0, atol=1e-6)
        torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-7)


def trained(
    name: str, *, sharded: bool, sequences: slice, same: bool = False
) -> dict[str, list[Any]]:
    """Every parameter in full after a few steps.

    Args:
        name: The optimizer's.
        sharded: By FSDP2 over the ranks.
        sequences: This rank's part of each batch.
        same: Every rank has the whole batch, so that the mean over ranks is exact.
    """
    torch.manual_seed(0)
    model = FAMILY.build(TARGET)
    planned = plan(FAMILY, BASE, TARGET, "mup", name)
    apply_(model, planned, family=FAMILY, init_seed=0)
    model.double()  # so that what is left of a difference is a mistake
    for parameter in model.parameters():
        # A gradient's missing directions Dion completes by what rounding left there, brought to
        # length one: other sums, other directions. Behind a readout of zeros all would be missing.
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    if sharded:
        for block in model.blocks:  # type: ignore[union-attr]
            fsdp.fully_shard(block)
        fsdp.fully_shard(model)
    groups = param_groups(model, planned, lr=RECIPE.lr, weight_decay=0.1)
    optimizer = optimizer_method(name).build(groups, RECIPE)
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS.get(name, 4)):
        # Every token a few times: a token that is absent is another missing direction.
        drawn = [torch.randperm(33, generator=generator) for _ in range(5)]
        tokens = torch.cat(drawn)[: SEQUENCES * 17].view(SEQUENCES, 17)
        own = tokens if same else tokens[sequences]
        logits = model(own[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), own[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        rule = optimizer_method(name).rule
        if rule is not None and rule.signal is not None:
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.grad *= 1e3  # so much that a curvature is felt
            optimizer.observe()  # type: ignore[attr-defined]
        if optimizer_method(name).elsewhere is None:
            # State that is loaded in mid-run goes on as it was.
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        optimizer.zero_grad()
    return {
        key: (value.full_tensor() if sharded else value.detach()).tolist()
        for key, value in model.named_parameters()
    }


def main(folder: Path, rank: int) -> None:
    """Train under every optimizer on this rank and write down what came out."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS
    )
    half = SEQUENCES // RANKS
    results: dict[str, Any] = {}
    for name in optimizer_names():
        results[name] = {
            "equal gradients": trained(name, sharded=True, sequences=slice(None), same=True),
            "split batch": trained(
                name, sharded=True, sequences=slice(rank * half, (rank + 1) * half)
            ),
        }
    (folder / f"{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
