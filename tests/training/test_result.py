from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.training.result import RunResult, read_result, write_result

RESULT = RunResult(
    key="abc",
    status="finished",
    loss=1.25,
    loss_se=0.1 + 0.2,
    units=640,
    steps=10,
    flops=1e9,
    params=100,
    params_non_embedding=80,
    seconds=2.5,
    exact=True,
    environment={"threads": 1},
)
DIVERGED = dataclasses.replace(RESULT, status="diverged", loss=None, loss_se=None)


@pytest.mark.parametrize("result", [RESULT, DIVERGED])
def test_a_result_comes_back_equal(result: RunResult, tmp_path: Path) -> None:
    write_result(tmp_path, result)
    assert read_result(tmp_path, "abc") == result


def test_no_result_yet(tmp_path: Path) -> None:
    assert read_result(tmp_path, "abc") is None


def test_another_runs_result_is_refused(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    with pytest.raises(WindtunnelError, match="belongs to run abc, not to xyz"):
        read_result(tmp_path, "xyz")


@pytest.mark.parametrize("content", ["", '{"key": "abc"}', "[1]", '{"key": "abc", "los'])
def test_a_damaged_result_is_no_result(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "result.json").write_text(content)
    assert read_result(tmp_path, "abc") is None
    assert "damaged" in caplog.text


def test_nothing_that_is_not_a_number_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path, dataclasses.replace(RESULT, loss=float("nan")))
    assert json.dumps(RESULT.to_json(), allow_nan=False)
    assert not (tmp_path / "result.json").exists()
