"""The loop on several gloo processes: the losses of one process, checkpoints for any number."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from windtunnel.models.gpt import GPTFamily
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.training.batches import ArrayPair
from windtunnel.training.execution import Execution
from windtunnel.training.loop import train
from windtunnel.training.ranks import DATA, TENSOR, Ranks, joined_ranks

fsdp = pytest.importorskip("torch.distributed.fsdp")
if not (dist.is_available() and dist.is_gloo_available() and hasattr(fsdp, "fully_shard")):
    pytest.skip("needs gloo and FSDP2", allow_module_level=True)

LENGTH, SEQUENCES, STEPS, VOCABULARY = 16, 8, 20, 33
NEAR = 1e-6  # of losses in float32, added up in another order
FAMILIES = {
    "plain": GPTFamily(vocabulary_size=VOCABULARY, head_size=8),
    "variant": GPTFamily(
        vocabulary_size=VOCABULARY,
        head_size=8,
        tied=True,
        query_groups=2,
        qk_norm=True,
        activation="relu2",
    ),
}


class Numbers:
    """Batch k is drawn from k; every third sequence has targets for its first half only."""

    def training(self, k: int, data_seed: int, sequences: int, /) -> ArrayPair:
        inputs = self._drawn((data_seed, k), sequences)
        targets = (inputs * 5 + 1) % VOCABULARY
        targets[::3, LENGTH // 2 :] = -100
        return inputs, targets

    def validation(self, count: int, /) -> Iterator[ArrayPair]:
        inputs = self._drawn((99, 0), count)
        yield inputs, (inputs * 5 + 1) % VOCABULARY

    @staticmethod
    def _drawn(seed: tuple[int, int], sequences: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng(seed).integers(0, VOCABULARY, (sequences, LENGTH))


def run_of(optimizer: str = "adamw", family: str = "plain", precision: str = "fp32") -> Run:
    return Run(
        family="gpt",
        family_options=(("kind", family),),
        optimizer=optimizer,
        rule="mup",
        base=Scale(16, 1, 640),
        scale=Scale(32, 2, STEPS * SEQUENCES * LENGTH),
        recipe=Recipe(lr=0.01, batch_units=SEQUENCES * LENGTH, clip_norm=0.5),
        data=DataIdentity("numbers", LENGTH, 8),
        init_seed=3,
        precision=precision,
    )


def alone(folder: Path, run: Run, execution: Execution = Execution()) -> list[float]:  # noqa: B008
    train(
        run,
        family=family_of(run),
        batches=Numbers(),
        folder=folder,
        execution=execution,
    )
    return losses(folder)


def family_of(run: Run) -> GPTFamily:
    return FAMILIES[dict(run.family_options)["kind"]]


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]


CASES: dict[str, dict[str, Any]] = {
    "fsdp": {},
    "fsdp-bf16": {"precision": "bf16"},
    "ddp-accumulated": {"execution": {"sharding": "ddp", "micro_batch": 1}},
    "accumulated-muon": {"optimizer": "muon", "execution": {"micro_batch": 2}},
    "tensor-recomputed": {"tensor": 2, "execution": {"recompute": True}},
    "tensor-variant": {"tensor": 2, "family": "variant", "optimizer": "muon"},
    "fsdp-sophia-g": {"optimizer": "sophia-g", "execution": {"micro_batch": 2}},
    "ddp-sophia-h": {"optimizer": "sophia-h", "execution": {"sharding": "ddp", "micro_batch": 2}},
}
STOPPED = ("fsdp", "ddp-accumulated", "accumulated-muon", "tensor-recomputed", "fsdp-sophia-g")


def case_run(name: str) -> Run:
    names = ("optimizer", "family", "precision")
    return run_of(**{key: value for key, value in CASES[name].items() if key in names})


@pytest.fixture(scope="module")
def four(run_on_ranks: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What four processes leave: a run that they stop half-way, and one with shared layers."""
    folder: Path = tmp_path_factory.mktemp("four")
    run_on_ranks(__file__, folder, 4)
    return folder


@pytest.fixture(scope="module")
def found(run_on_ranks: Any, four: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case on two processes, some stopped half-way too; this file is the program.

    They also go on with what four processes, and one, have begun.
    """
    folder: Path = tmp_path_factory.mktemp("two")
    shutil.copytree(four / "half", folder / "from-four")
    carried_out(folder / "from-one", run_of("muon"), None, Execution(), until=9)
    assert (folder / "from-one" / "checkpoint.safetensors").exists()
    run_on_ranks(__file__, folder, 2)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_two_processes_have_the_losses_of_one(found: Path, tmp_path: Path, name: str) -> None:
    expected = alone(tmp_path, case_run(name))
    assert len(expected) == STEPS
    near = 2e-3 if "bf16" in name else NEAR
    assert losses(found / name) == pytest.approx(expected, abs=near, rel=0)
    result = json.loads((found / name / "result.json").read_text())
    assert result["loss"] == pytest.approx(
        json.loads((tmp_path / "result.json").read_text())["loss"], abs=near, rel=0
    )
    assert result["environment"]["ranks"] == 2


@pytest.mark.parametrize("name", STOPPED)
def test_stopped_and_gone_on_it_is_the_same_to_the_bit(found: Path, name: str) -> None:
    assert losses(found / f"{name}-stopped") == losses(found / name)
    stopped, undisturbed = (
        json.loads((found / case / "result.json").read_text()) for case in (f"{name}-stopped", name)
    )
    assert stopped["exact"]
    assert stopped["loss"] == undisturbed["loss"]
    assert not list((found / f"{name}-stopped").glob("checkpoint*"))


@pytest.mark.parametrize("micro_batch", [1, 3, 4])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    tmp_path: Path, micro_batch: int
) -> None:
    """Weighted by targets: parts have different numbers of them."""
    whole = alone(tmp_path / "whole", run_of())
    parts = alone(tmp_path / "parts", run_of(), Execution(micro_batch=micro_batch))
    assert parts == pytest.approx(whole, abs=NEAR, rel=0)


def test_recomputed_activations_change_no_bit(tmp_path: Path) -> None:
    kept = alone(tmp_path / "kept", run_of())
    assert alone(tmp_path / "again", run_of(), Execution(recompute=True)) == kept


def test_four_processes_may_share_layers_by_twos(four: Path, tmp_path: Path) -> None:
    assert losses(four / "both") == pytest.approx(alone(tmp_path, run_of()), abs=NEAR, rel=0)


def test_four_processes_checkpoint_is_gone_on_from_by_two_and_by_one(
    four: Path, found: Path, tmp_path: Path
) -> None:
    assert len(list((four / "half").glob("checkpoint-*/shard-*.safetensors"))) == 4
    shutil.copytree(four / "half", tmp_path / "rest")
    expected = pytest.approx(alone(tmp_path / "one", run_of()), abs=NEAR, rel=0)
    assert alone(tmp_path / "rest", run_of()) == expected
    assert losses(found / "from-four") == expected
    result = json.loads((found / "from-four" / "result.json").read_text())
    assert not result["exact"]  # other processes add up in another order
    assert result["environment"]["ranks"] == 2


def test_one_process_may_begin_what_two_go_on_with(found: Path, tmp_path: Path) -> None:
    expected = alone(tmp_path, run_of("muon"))
    assert losses(found / "from-one") == pytest.approx(expected, abs=NEAR, rel=0)


def carried_out(folder: Path, run: Run, ranks: Any, execution: Execution, until: int) -> None:
    done = [0]
    train(
        run,
        family=family_of(run),
        batches=Numbers(),
        folder=folder,
        ranks=ranks,
        execution=execution,
        on_progress=lambda step, steps, loss: done.__setitem__(0, step),
        should_stop=lambda: done[0] == until,
    )


def arranged(ranks: Ranks, tensor: int) -> Ranks:
    """The same processes, so many of which share each layer."""
    shape = (ranks.count // tensor, tensor)
    return Ranks(ranks.device, init_device_mesh("cpu", shape, mesh_dim_names=(DATA, TENSOR)))


def main(folder: Path, rank: int) -> None:
    """This rank's part."""
    with joined_ranks("cpu") as ranks:
        if ranks.count == 4:
            carried_out(folder / "half", run_of(), ranks, Execution(), until=9)
            # Layers shared by pairs, and each share cut by two.
            both = arranged(ranks, 2)
            for until in (7, STEPS + 1):
                carried_out(folder / "both", run_of(), both, Execution(), until)
        else:
            carried_out(folder / "from-four", run_of(), ranks, Execution(), STEPS + 1)
            carried_out(folder / "from-one", run_of("muon"), ranks, Execution(), STEPS + 1)
            for name, case in CASES.items():
                run, execution = case_run(name), Execution(**case.get("execution", {}))
                own = arranged(ranks, case.get("tensor", 1))
                carried_out(folder / name, run, own, execution, until=STEPS + 1)
                for until in (7, STEPS + 1) if name in STOPPED else ():
                    carried_out(folder / f"{name}-stopped", run, own, execution, until)
    (folder / f"{rank}.json").write_text("{}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
