"""Checkpoints in parts, by one process here; several write and read them in the loop's tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from windtunnel.training.checkpoint import Progress, save_checkpoint
from windtunnel.training.ranks import Ranks
from windtunnel.training.sharded_checkpoint import ShardedCheckpoints
from windtunnel.training.state import tensors_of

ALONE = Ranks(torch.device("cpu"))


def trained(steps: int, width: int = 6) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(width)
    model = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(steps):
        model(torch.randn(3, width)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def at(step: int, key: str = "k") -> Progress:
    return Progress(key=key, step=step, seconds=1.5, exact=True, environment={"torch": "2"})


@pytest.fixture
def checkpoints(tmp_path: Path) -> ShardedCheckpoints:
    """Those of steps 1, 2 and 3."""
    found = ShardedCheckpoints(tmp_path, ALONE)
    for step in (1, 2, 3):
        found.save(at(step), *trained(step))
    found.finish()
    return found


@pytest.mark.parametrize("asynchronous", [True, False])
def test_what_is_saved_comes_back(tmp_path: Path, asynchronous: bool) -> None:
    checkpoints = ShardedCheckpoints(tmp_path, ALONE, asynchronous=asynchronous)
    model, optimizer = trained(4)
    expected = {name: tensor.clone() for name, tensor in tensors_of(model, optimizer).items()}
    checkpoints.save(at(4), model, optimizer)
    with torch.no_grad():  # training goes on while the files are written
        for parameter in model.parameters():
            parameter.zero_()
    checkpoints.finish()
    after = trained(9)
    assert checkpoints.load("k", *after) == at(4)
    found = tensors_of(*after)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert 0 < checkpoints.seconds < 60


def test_the_last_two_are_kept(checkpoints: ShardedCheckpoints, tmp_path: Path) -> None:
    assert checkpoints.load("k", *trained(0)) == at(3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint-000000002", "checkpoint-000000003"]
    checkpoints.remove()
    assert not list(tmp_path.iterdir())


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[random.Random(0).randrange(len(content))] ^= 1
    path.write_bytes(bytes(content))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "damaged": lambda folder: _flip(next(folder.glob("*.safetensors"))),
    "cut short": lambda folder: next(folder.glob("*.safetensors")).write_bytes(b""),
    "missing": lambda folder: next(folder.glob("*.safetensors")).unlink(),
    "table of contents": lambda folder: _flip(folder / "contents.json"),
    "can't be read": lambda folder: (folder / "contents.json").write_text("[1"),
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_the_one_before_is_used_when_the_newest_cannot_be(
    checkpoints: ShardedCheckpoints,
    tmp_path: Path,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    DAMAGE[reason](tmp_path / "checkpoint-000000003")
    assert checkpoints.load("k", *trained(0)) == at(2)
    assert "checkpoint-000000003: not usable" in caplog.text
    assert reason in caplog.text


def test_later_ones_that_could_not_be_used_do_not_stay(
    checkpoints: ShardedCheckpoints, tmp_path: Path
) -> None:
    _flip(tmp_path / "checkpoint-000000003" / "contents.json")
    (tmp_path / "checkpoint-000000003").rename(tmp_path / "checkpoint-000000009")
    assert checkpoints.load("k", *trained(0)) == at(2)
    checkpoints.save(at(4), *trained(4))
    checkpoints.finish()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint-000000002", "checkpoint-000000004"]


def test_one_that_was_never_finished_is_passed_over(
    checkpoints: ShardedCheckpoints, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint-000000003" / "contents.json").unlink()
    assert checkpoints.load("k", *trained(0)) == at(2)
    checkpoints.save(at(3), *trained(3))
    checkpoints.finish()
    assert checkpoints.load("k", *trained(0)) == at(3)


def test_other_runs_and_models_are_refused_by_name(
    checkpoints: ShardedCheckpoints, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.save(at(4, "other"), *trained(4))
    checkpoints.finish()
    assert checkpoints.load("k", *trained(0)) == at(3)
    assert "belongs to run other, not to k" in caplog.text
    assert checkpoints.load("k", *trained(0, width=8)) is None
    assert "another version's model" in caplog.text


def test_one_file_of_a_single_process_is_gone_on_from(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint.safetensors", at(5), *trained(5))
    checkpoints = ShardedCheckpoints(tmp_path, ALONE)
    after = trained(0)
    assert checkpoints.load("k", *after) == at(5)
    checkpoints.save(at(6), *after)
    checkpoints.finish()
    assert not (tmp_path / "checkpoint.safetensors").exists()
