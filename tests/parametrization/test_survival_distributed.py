"""The plan on two gloo ranks: sharded (FSDP2) and replicated (DDP) models train as whole ones."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import clip_gradients_, param_groups
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.scale import Scale

fsdp = pytest.importorskip("torch.distributed.fsdp")
if not (dist.is_available() and dist.is_gloo_available() and hasattr(fsdp, "fully_shard")):
    pytest.skip("needs gloo and FSDP2", allow_module_level=True)

RANKS, STEPS, SEQUENCES = 2, 4, 4
BASE, TARGET = Scale(16, 2), Scale(32, 3)
# 33 rows: the ranks' shards of the tables differ in size.
FAMILIES = {
    "untied": GPTFamily(vocabulary_size=33, head_size=8),
    "tied": GPTFamily(vocabulary_size=33, head_size=8, tied=True),
}


@pytest.fixture(scope="module")
def found(run_on_ranks: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank found; this file is the program that both run."""
    found: list[dict[str, Any]] = run_on_ranks(__file__, tmp_path_factory.mktemp("ranks"), RANKS)
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["fsdp", "ddp"])
def test_two_ranks_train_as_one(found: list[dict[str, Any]], family: str, kind: str) -> None:
    expected = train(whole(family), family, range(RANKS))
    ranks = [rank[f"{family} {kind}"] for rank in found]
    assert ranks[0]["norms"] == ranks[1]["norms"] == pytest.approx(expected["norms"], rel=1e-4)
    losses = [sum(both) / RANKS for both in zip(*(rank["losses"] for rank in ranks), strict=True)]
    assert losses == pytest.approx(expected["losses"], rel=1e-5)
    assert [rank["rates"] for rank in ranks] == [expected["rates"]] * RANKS


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("origin", ["drawn", "meta"])
def test_each_rank_holds_its_part_of_the_whole_models_values(
    found: list[dict[str, Any]], family: str, origin: str
) -> None:
    for name, value in whole(family).named_parameters():
        for rank, part in enumerate(value.chunk(RANKS)):
            assert found[rank][f"{family} {origin}"][name] == part.tolist(), name


def test_a_padding_row_stays_zero_on_the_rank_that_has_it(found: list[dict[str, Any]]) -> None:
    rows = [row for rank in found for row in rank["padded"]]
    assert [index for index, row in enumerate(rows) if not any(row)] == [3]


def test_drawing_sends_no_messages(found: list[dict[str, Any]]) -> None:
    assert [rank["messages"] for rank in found] == [0] * RANKS


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_weights_are_refused_on_shards_too(
    found: list[dict[str, Any]], family: str
) -> None:
    for rank in found:
        assert "holds values that the family did not draw" in rank[f"{family} refusal"]


def planned(family: str) -> Plan:
    return plan(FAMILIES[family], BASE, TARGET, "completep")


def whole(family: str) -> nn.Module:
    torch.manual_seed(0)
    model = FAMILIES[family].build(TARGET)
    apply_(model, planned(family), family=FAMILIES[family], init_seed=0)
    return model


def batch(step: int, ranks: range) -> tuple[Tensor, Tensor]:
    """The sequences that these ranks see, in one batch."""
    generator = torch.Generator().manual_seed(step)
    tokens = torch.randint(33, (RANKS, SEQUENCES, 9), generator=generator)
    kept = tokens[list(ranks)].flatten(0, 1)
    return kept[:, :-1], kept[:, 1:]


def train(model: nn.Module, family: str, ranks: range) -> dict[str, list[float]]:
    resolved = planned(family)
    groups = param_groups(model, resolved, lr=0.01, weight_decay=0.1, eps=1e-2)
    optimizer = torch.optim.AdamW(groups)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = FAMILIES[family].loss(model, batch(step, ranks))
        loss.backward()
        norms.append(float(clip_gradients_(model, resolved, 0.1)))
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "norms": norms, "rates": [group["lr"] for group in groups]}


def sharded(model: nn.Module) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    for block in getattr(model, "blocks", ()):
        fully_shard(block)
    fully_shard(model)
    return model


def parts(model: nn.Module) -> dict[str, Any]:
    return {name: p.detach().to_local().tolist() for name, p in model.named_parameters()}


def on_one_rank(rank: int) -> dict[str, Any]:
    """Everything that needs a process group; the tests judge it."""
    from torch.distributed.tensor.debug import CommDebugMode

    results: dict[str, Any] = {}
    for name, family in FAMILIES.items():
        torch.manual_seed(1)
        model = sharded(family.build(TARGET))
        with CommDebugMode() as messages:
            apply_(model, planned(name), family=family, init_seed=0)
        results["messages"] = results.get("messages", 0) + messages.get_total_counts()
        results[f"{name} drawn"] = parts(model)
        results[f"{name} fsdp"] = train(model, name, range(rank, rank + 1))
        with torch.device("meta"):
            empty = family.build(TARGET)
        sharded(empty).to_empty(device="cpu")
        apply_(empty, planned(name), family=family, init_seed=0, replace=True)
        results[f"{name} meta"] = parts(empty)
        replicated = nn.parallel.DistributedDataParallel(copy.deepcopy(whole(name)))
        results[f"{name} ddp"] = train(replicated, name, range(rank, rank + 1))
        try:
            apply_(model, planned(name), family=family, init_seed=0)
        except WindtunnelError as error:
            results[f"{name} refusal"] = str(error)
    table = sharded(padded(32, 1))
    apply_(table, plan(padded, BASE, Scale(32, 1)), family=padded, init_seed=0)
    results["padded"] = parts(table)["weight"]
    return results


def padded(width: int, depth: int) -> nn.Module:
    return nn.Embedding(7, width, padding_idx=3)


def main(folder: Path, rank: int) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=RANKS
    )
    (folder / f"{rank}.json").write_text(json.dumps(on_one_rank(rank)))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
