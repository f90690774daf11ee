from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.training.metrics import MetricsLog


def filled(path: Path, first: int, last: int, loss: float = 1.0) -> MetricsLog:
    log = MetricsLog(path, first)
    for step in range(first, last):
        log.append(step=step, loss=loss, lr=0.1, grad_norm=2.0, units=8 * (step + 1))
    return log


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_lines_are_json_and_wait_until_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.jsonl"
    log = filled(path, 0, 2)
    log.append(step=2, loss=math.nan, lr=1e-7, grad_norm=math.inf, units=24)
    assert path.read_text() == ""
    log.write()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[1] == {"step": 1, "loss": 1.0, "lr": 0.1, "grad_norm": 2.0, "units": 16}
    assert lines[2] == {"step": 2, "loss": None, "lr": 1e-7, "grad_norm": None, "units": 24}


def test_numbers_survive_exactly(tmp_path: Path) -> None:
    filled(tmp_path / "m", 0, 1, loss=0.1 + 0.2).write()
    assert json.loads((tmp_path / "m").read_text())["loss"] == 0.1 + 0.2


def test_a_resumed_log_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    filled(tmp_path / "m", 0, 10).write()
    filled(tmp_path / "m", 6, 8).write()
    assert steps(tmp_path / "m") == list(range(8))


@pytest.mark.parametrize(
    "torn", [b'{"step": 3, "lo', b'{"step": 3}', b"\xff\xfe\n", b"7\n", b"{}\n", b'{"step": "x"}\n']
)
def test_a_torn_line_and_what_follows_are_cut(torn: bytes, tmp_path: Path) -> None:
    filled(tmp_path / "m", 0, 3).write()
    whole = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(whole + torn)
    MetricsLog(tmp_path / "m", 100)
    assert (tmp_path / "m").read_bytes() == whole


def test_a_second_writer_of_the_same_run_repeats_no_line(tmp_path: Path) -> None:
    """A process that was stopped past its claim and woken has the same lines for the same place."""
    old = filled(tmp_path / "m", 0, 5)
    new = filled(tmp_path / "m", 0, 9)
    new.write()
    old.write(durable=False)
    assert steps(tmp_path / "m") == list(range(9))


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    log = filled(tmp_path / "m", 0, 3)
    (tmp_path / "m").unlink()
    (tmp_path / "m").symlink_to("/dev/full")
    with pytest.raises(WindtunnelError, match="No space left"):
        log.write()
