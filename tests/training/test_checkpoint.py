from __future__ import annotations

import dataclasses
import errno
import random
import struct
from pathlib import Path

import pytest
import torch
from torch import nn

from windtunnel import files
from windtunnel.errors import WindtunnelError
from windtunnel.training.checkpoint import Progress, load_checkpoint, save_checkpoint


class Small(nn.Module):
    """Two tied parameters, a buffer, and values that fp32 holds exactly or not at all."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width, bias=False)
        self.second.weight = self.first.weight
        self.counter: torch.Tensor
        self.register_buffer("counter", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.counter += 1
        return self.second(self.first(x))


def trained(steps: int, width: int = 6) -> tuple[Small, torch.optim.AdamW]:
    torch.manual_seed(width)
    model = Small(width)
    matrices, vectors = [model.first.weight], [model.first.bias]
    # Groups in another order than the model's: state must go by name.
    optimizer = torch.optim.AdamW([{"params": vectors}, {"params": matrices}], lr=0.1, fused=True)
    for _ in range(steps):
        model(torch.randn(3, width)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    state = [optimizer.state[p][k] for p in model.parameters() for k in sorted(optimizer.state[p])]
    return [*model.state_dict().values(), *state]


PROGRESS = Progress(key="k", step=4, seconds=1.5, exact=True, environment={"torch": "2"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, PROGRESS, *trained(4))
    return path


@pytest.mark.parametrize("steps", [0, 4])
def test_what_is_saved_comes_back(steps: int, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    before = trained(steps)
    save_checkpoint(path, PROGRESS, *before)
    expected = torch.rand(3)
    after = trained(9)
    assert load_checkpoint(path, "k", *after) == PROGRESS
    assert torch.equal(torch.rand(3), expected)
    assert len(after[1].state) == (2 if steps else 0)
    for left, right in zip(everything(*before), everything(*after), strict=True):
        assert torch.equal(left, right)
        assert left.dtype == right.dtype


def test_no_checkpoint_is_no_progress(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none.safetensors", "k", *trained(0)) is None


def test_another_runs_checkpoint_is_refused(path: Path) -> None:
    with pytest.raises(WindtunnelError, match="belongs to run k, not to other"):
        load_checkpoint(path, "other", *trained(0))


def test_a_damaged_file_is_never_used_in_part(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = path.read_bytes()
    draw = random.Random(0)
    header = struct.unpack("<Q", whole[:8])[0] + 8
    places = [*range(0, 40), header, len(whole) - 1]
    places += [draw.randrange(len(whole)) for _ in range(60)]
    cuts = [0, 1, 7, 8, 9, header - 1, header, header + 1, len(whole) - 1]
    damaged = [whole[:cut] for cut in cuts] + [whole + b"\0"]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << draw.randrange(8)
        damaged.append(bytes(changed))
    for content in damaged:
        path.write_bytes(content)
        after = trained(9)
        untouched = [tensor.clone() for tensor in everything(*after)]
        caplog.clear()
        assert load_checkpoint(path, "k", *after) is None
        assert "the run starts over" in caplog.text
        for left, right in zip(untouched, everything(*after), strict=True):
            assert torch.equal(left, right)


def test_tensors_of_another_model_are_not_loaded(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_checkpoint(path, "k", *trained(0, width=8)) is None
    assert "another version's model" in caplog.text


def test_a_full_disk_leaves_the_old_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(WindtunnelError, match="no space left"):
        save_checkpoint(path, PROGRESS, *trained(9))
    assert path.read_bytes() == before
    assert load_checkpoint(path, "k", *trained(0)) == PROGRESS


def test_the_one_before_is_used_when_the_newest_cannot_be(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = [tensor.clone() for tensor in everything(*trained(4))]
    later = dataclasses.replace(PROGRESS, step=6, norms=(1.5, 0.1), skipped=((2, "why"),))
    save_checkpoint(path, later, *trained(6))
    assert load_checkpoint(path, "k", *trained(0)) == later
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(bytes(content))
    after = trained(9)
    assert load_checkpoint(path, "k", *after) == PROGRESS
    assert f"{path}: not usable (its checksum is wrong); the one before it is used" in caplog.text
    for left, right in zip(expected, everything(*after), strict=True):
        assert torch.equal(left, right)
    save_checkpoint(path, dataclasses.replace(PROGRESS, key="other"), *trained(6))
    save_checkpoint(path, PROGRESS, *trained(4))
    save_checkpoint(path, dataclasses.replace(PROGRESS, key="other"), *trained(6))
    assert load_checkpoint(path, "k", *trained(0)) == PROGRESS
    assert "belongs to run other, not to k" in caplog.text


def test_killed_between_two_renames_it_goes_on_from_the_one_before(path: Path) -> None:
    path.rename(path.with_name("checkpoint-before.safetensors"))
    assert load_checkpoint(path, "k", *trained(0)) == PROGRESS
