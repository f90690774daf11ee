from __future__ import annotations

import json
import logging
import math
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.training.trackers import Tracker, open_tracker, tracker_names
from windtunnel.training.trackers.guarded import GuardedTracker

RUN = Run(
    family="gpt",
    family_options=(("head_size", 4),),
    optimizer="adamw",
    rule="mup",
    base=Scale(width=8, depth=1, units=640),
    scale=Scale(width=16, depth=1, units=640),
    recipe=Recipe(lr=0.01, batch_units=64),
    data=DataIdentity("synthetic", sequence_length=16, validation_sequences=40),
)
RESULT: dict[str, Any] = {"status": "finished", "loss": 1.5, "exact": True, "loss_se": None}
# Of a run that was stopped after step 3 and went on from its checkpoint at step 2.
LOSSES = {0: 5.0, 1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def stopped_and_finished(name: str, folder: Path) -> None:
    # Each part would be another process, whose tracker knows nothing of the first.
    for steps, result in (((0, 1, 2, 3), None), ((2, 3, 4), RESULT)):
        tracker = open_tracker(name)
        tracker.start(RUN, folder, steps[0])
        for step in steps:
            tracker.log(step, {"loss": LOSSES[step], "grad_norm": math.nan})
        tracker.finish(result)
        if name == "wandb" and result is None:
            time.sleep(1.0)  # its folders are named by the second


def test_tensorboard_reads_each_step_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stopped_and_finished("tensorboard", tmp_path)
    assert "switched off" not in caplog.text
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {event.step: event.value for event in events.Scalars("loss")} == LOSSES
    assert len(events.Scalars("loss")) == len(LOSSES)
    assert [(e.step, e.value) for e in events.Scalars("result/loss")] == [(4, 1.5)]
    (text,) = events.Tensors("run/text_summary")
    assert b'"optimizer": "adamw"' in text.tensor_proto.string_val[0]


def test_mlflow_goes_on_with_its_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow")
    stopped_and_finished("mlflow", tmp_path)
    assert "switched off" not in caplog.text
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("windtunnel")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["windtunnel.run"] == RUN.key
    assert run.data.tags["windtunnel.status"] == run.info.status.lower() == "finished"
    assert run.data.params["recipe.lr"] == "0.01"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert {metric.step: metric.value for metric in history} == LOSSES
    assert run.data.metrics["result/loss"] == 1.5
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db"}


def test_mlflow_sends_no_telemetry() -> None:
    pytest.importorskip("mlflow")
    open_tracker("mlflow")
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_wandb_stays_offline_under_the_run_s_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setattr(sys, "argv", ["train", "--password=hidden"])
    monkeypatch.setenv("WANDB_API_KEY", "hidden" * 7)
    stopped_and_finished("wandb", tmp_path)
    assert "switched off" not in caplog.text
    # `finish` of the package returns before its own process has closed the last file.
    files = tmp_path / "wandb"
    deadline = time.monotonic() + 60
    while (losses := wandb_losses(files)) != LOSSES and time.monotonic() < deadline:
        time.sleep(0.05)
    assert losses == LOSSES
    assert b"hidden" not in all_bytes(files)
    assert b"result/loss" in all_bytes(files)


def all_bytes(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def wandb_losses(folder: Path) -> dict[int, float]:
    parts = sorted(folder.glob(f"offline-run-*/run-{RUN.key}.wandb"))
    rows = [row for part in parts for row in wandb_rows(part)]
    return {row["_step"]: row["loss"] for row in rows if "loss" in row}


def wandb_rows(path: Path) -> list[dict[str, Any]]:
    from wandb.proto import wandb_internal_pb2

    rows = []
    for data in logged_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            items = record.history.item
            rows.append(
                {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
            )
    return rows


def logged_records(content: bytes) -> Iterator[bytes]:
    """The whole records of a LevelDB log, in blocks of 32 KiB, behind W&B's own 7 bytes."""
    position, record = 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        if position + 7 + length > len(content):
            return
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


class _Failing:
    """Fails at its second step."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self, run: Run, folder: Path, step: int, /) -> None:
        self.calls.append("start")

    def log(self, step: int, numbers: Mapping[str, float], /) -> None:
        self.calls.append(f"log {step}")
        if step == 1:
            raise OSError("no space left")

    def finish(self, result: Mapping[str, Any] | None, /) -> None:
        self.calls.append("finish")


def test_a_failing_tracker_is_switched_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failing = _Failing()
    tracker: Tracker = GuardedTracker("own", failing)
    with caplog.at_level(logging.WARNING):
        tracker.start(RUN, tmp_path, 0)
        for step in range(4):
            tracker.log(step, {"loss": 1.0})
        tracker.finish(RESULT)
    assert failing.calls == ["start", "log 0", "log 1"]
    (record,) = caplog.records
    assert "tracker 'own' failed and is switched off" in record.getMessage()
    assert "no space left" in record.getMessage()


def test_names() -> None:
    assert tracker_names() == ("mlflow", "tensorboard", "wandb")
    with pytest.raises(WindtunnelError, match="no tracker 'comet'; known trackers: mlflow, ten"):
        open_tracker("comet")


@pytest.mark.parametrize(
    ("name", "package"), [("mlflow", "mlflow"), ("tensorboard", "tensorboard"), ("wandb", "wandb")]
)
def test_a_missing_package_names_the_extra(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"windtunnel.training.trackers.{name}", raising=False)
    for module in list(sys.modules):
        if module.startswith("torch.utils.tensorboard"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(WindtunnelError, match=rf"pip install 'windtunnel\[{name}\]'"):
        open_tracker(name)
