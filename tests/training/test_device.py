from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from windtunnel.errors import WindtunnelError
from windtunnel.training.device import cpu_threads, resolve_device, usable_cores, worker_devices


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    count: int = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4, 5}, raising=False)
    return count


@pytest.mark.parametrize("gpus", [0], indirect=True)
def test_without_a_gpu(gpus: int) -> None:
    assert resolve_device("auto") == "cpu"
    assert usable_cores() == 3
    assert worker_devices("auto", "auto") == ["cpu"] * 3
    assert worker_devices("cpu", 2) == ["cpu"] * 2
    for device in ("cuda", "cuda:0"):
        with pytest.raises(WindtunnelError, match=f"device: no {device} here"):
            resolve_device(device)


@pytest.mark.parametrize("gpus", [2], indirect=True)
def test_with_two_gpus(gpus: int) -> None:
    assert resolve_device("auto") == "cuda"
    assert worker_devices("auto", "auto") == ["cuda:0", "cuda:1"]
    assert worker_devices("cuda", 3) == ["cuda:0", "cuda:1", "cuda:0"]
    assert worker_devices("cuda:1", "auto") == ["cuda:1"]
    assert worker_devices("cpu", "auto") == ["cpu"] * 3
    with pytest.raises(WindtunnelError, match="PyTorch sees 2 GPUs"):
        resolve_device("cuda:2")


def test_threads_are_put_back_even_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("text", "cores"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 4), ("", 4)]
)
def test_a_container_s_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert usable_cores(quota) == cores
    assert usable_cores(tmp_path / "none") == 4
